#include "protocol/base/secret_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/support/temp_dir.h"

namespace aster {
namespace {

using testing::TempDir;

mode_t mode_of(const std::filesystem::path& path) {
  struct stat attributes {};
  EXPECT_EQ(::stat(path.c_str(), &attributes), 0) << path;
  return attributes.st_mode & 07777;
}

TEST(SecretFile, written_files_are_private_and_read_back) {
  const TempDir dir;
  const auto path = dir / "new/secret";
  ASSERT_TRUE(write_private_file(path, "first\nsecond\n"));
  EXPECT_EQ(mode_of(path), 0600u);
  EXPECT_EQ(mode_of(dir / "new"), 0700u);
  EXPECT_EQ(read_secret_file(path).value(), "first");
  ASSERT_TRUE(write_private_file(path, "other"));
  EXPECT_EQ(read_secret_file(path).value(), "other");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir / "new"), {}), 1);
}

TEST(SecretFile, replacing_a_public_file_makes_it_private) {
  const TempDir dir;
  testing::write_file(dir / "f", "public");
  ASSERT_EQ(::chmod((dir / "f").c_str(), 0644), 0);
  ASSERT_TRUE(write_private_file(dir / "f", "secret"));
  EXPECT_EQ(mode_of(dir / "f"), 0600u);
}

TEST(SecretFile, files_that_others_can_read_are_refused_as_secrets_only) {
  const TempDir dir;
  testing::write_file(dir / "f", "line\r\n");
  ASSERT_EQ(::chmod((dir / "f").c_str(), 0640), 0);
  EXPECT_TRUE(read_secret_file(dir / "f").failed_with(Errc::forbidden));
  EXPECT_EQ(read_first_line(dir / "f").value(), "line");
}

TEST(SecretFile, missing_empty_and_huge_files_are_told_apart) {
  const TempDir dir;
  EXPECT_TRUE(read_secret_file(dir / "none").failed_with(Errc::not_found));
  ASSERT_TRUE(write_private_file(dir / "empty", "\n"));
  EXPECT_TRUE(read_secret_file(dir / "empty").failed_with(Errc::bad_request));
  ASSERT_TRUE(write_private_file(dir / "huge", std::string(5000, 'x')));
  EXPECT_TRUE(read_secret_file(dir / "huge").failed_with(Errc::too_large));
  ASSERT_TRUE(write_private_file(dir / "full", std::string(4096, 'x')));
  EXPECT_EQ(read_secret_file(dir / "full").value().size(), 4096u);
}

TEST(SecretFile, failed_write_leaves_nothing_behind) {
  const TempDir dir;
  std::filesystem::create_directory(dir / "f");
  EXPECT_FALSE(write_private_file(dir / "f", "x"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()), {}), 1);
}

}  // namespace
}  // namespace aster
