#include <gtest/gtest.h>

#include "drive.h"

namespace aster::testing {
namespace {

constexpr uint64_t kMiB = 1 << 20;

TEST(FileContent, new_file_reads_back_in_every_phase) {
  Drive drive;
  const fs::Attr attr = drive.primary.create();
  const auto file = drive.open(attr);
  const std::string content = some_bytes(300'000);
  ASSERT_TRUE(write(*file, 0, content).ok());
  EXPECT_TRUE(file->dirty());
  EXPECT_EQ(file->size(), content.size());
  EXPECT_EQ(read(*file, 0, 1 << 20).value(), content);
  ASSERT_TRUE(flush(*file).ok());
  EXPECT_FALSE(file->dirty());
  EXPECT_EQ(read(*file, 1000, 1000).value(), content.substr(1000, 1000));
  EXPECT_EQ(drive.primary.content(attr.ino), content);
  drive.cache.clear();
  EXPECT_EQ(read(*file, 0, 1 << 20).value(), content);
  const auto again = drive.open(drive.primary.attr(attr.ino));
  drive.cache.clear();
  EXPECT_EQ(read(*again, 100'000, 100'000).value(), content.substr(100'000, 100'000));
}

TEST(FileContent, small_file_takes_one_grant_one_put_and_one_commit) {
  Drive drive;
  const auto file = drive.new_file();
  ASSERT_TRUE(write(*file, 0, "hello").ok());
  ASSERT_TRUE(write(*file, 5, " world").ok());
  ASSERT_TRUE(flush(*file, true).ok());
  EXPECT_EQ(drive.primary.count("grant"), 1u);
  EXPECT_EQ(drive.follower.count("PUT"), 1u);
  EXPECT_EQ(drive.primary.count("commit"), 1u);
  EXPECT_EQ(drive.follower.bytes("PUT"), 11u);
  // Reading it back needs nobody.
  EXPECT_EQ(read(*file, 0, 100).value(), "hello world");
  EXPECT_EQ(drive.follower.count("GET"), 0u);
  EXPECT_EQ(drive.primary.count("manifest"), 0u);
}

}  // namespace
}  // namespace aster::testing
