#include <gtest/gtest.h>

#include "drive.h"

namespace aster::testing {
namespace {

DriveOptions small_limit(uint64_t bytes) {
  DriveOptions options;
  options.io.dirty_limit = bytes;
  options.io.parallel_uploads = 2;
  return options;
}

TEST(BackPressure, file_far_over_the_limit_is_written_without_a_flush) {
  Drive drive(small_limit(2 * kMiB));
  const fs::Attr attr = drive.primary.create();
  const auto file = drive.open(attr);
  const std::string content = some_bytes(16 * kMiB);
  for (uint64_t at = 0; at < content.size(); at += 100'000) {
    ASSERT_TRUE(write(*file, at, content.substr(at, 100'000)).ok());
    ASSERT_LE(drive.io->stats().dirty_bytes, 2 * kMiB);
  }
  EXPECT_EQ(drive.primary.count("commit"), 0u);
  EXPECT_EQ(read(*file, 0, content.size()).value(), content);
  ASSERT_TRUE(flush(*file, true).ok());
  EXPECT_EQ(drive.primary.content(attr.ino), content);
}

TEST(BackPressure, random_writes_over_the_limit_do_not_deadlock) {
  Drive drive(small_limit(kMiB));
  const fs::Attr attr = drive.primary.create();
  const auto file = drive.open(attr);
  std::mt19937_64 random(test_seed());
  std::string expected(8 * kMiB, '\0');
  for (int i = 0; i < 2000; ++i) {
    const uint64_t at = random() % (expected.size() - 4096);
    const std::string bytes = random_bytes(random, 4096);
    ASSERT_TRUE(write(*file, at, bytes).ok());
    expected.replace(at, bytes.size(), bytes);
  }
  ASSERT_TRUE(flush(*file, true).ok());
  expected.resize(drive.primary.attr(attr.ino).size);
  EXPECT_EQ(drive.primary.content(attr.ino), expected);
}

TEST(BackPressure, single_write_larger_than_the_limit_goes_through) {
  Drive drive(small_limit(kMiB));
  const auto one = drive.new_file();
  ASSERT_TRUE(write(*one, 0, "in the way").ok());
  const auto two = drive.new_file();
  ASSERT_TRUE(write(*two, 0, some_bytes(4 * kMiB)).ok());
  EXPECT_EQ(read(*one, 0, 100).value(), "in the way");
  EXPECT_EQ(read(*two, 0, 8 * kMiB).value(), some_bytes(4 * kMiB));
}

TEST(BackPressure, other_files_make_room) {
  Drive drive(small_limit(kMiB));
  std::vector<std::shared_ptr<FileContent>> files;
  for (uint64_t i = 0; i < 40; ++i) {
    files.push_back(drive.new_file());
    ASSERT_TRUE(write(*files.back(), 0, some_bytes(100'000, i)).ok());
  }
  for (uint64_t i = 0; i < 40; ++i) {
    ASSERT_TRUE(flush(*files[i], true).ok());
    EXPECT_EQ(read(*files[i], 0, kMiB).value(), some_bytes(100'000, i));
  }
}

TEST(BackPressure, many_small_files_fit_as_what_they_are) {
  Drive drive(small_limit(8 * kMiB));
  std::vector<std::shared_ptr<FileContent>> files;
  for (uint64_t i = 0; i < 1000; ++i) {
    files.push_back(drive.new_file());
    ASSERT_TRUE(write(*files.back(), 0, std::string(4096, 'a')).ok());
  }
  EXPECT_EQ(drive.follower.count("PUT"), 0u);
  EXPECT_EQ(drive.io->stats().dirty_bytes, 1000u * 4096);
}

TEST(BackPressure, writes_go_on_while_a_flush_waits) {
  Drive drive(small_limit(kMiB));
  const fs::Attr attr = drive.primary.create();
  const auto file = drive.open(attr);
  ASSERT_TRUE(write(*file, 0, std::string(900'000, 'a')).ok());
  drive.follower.hold("PUT");
  auto flushed = in_background(file->flush(false));
  drive.follower.wait_until_held(1);
  auto written = in_background(file->write(0, Bytes::from_string(std::string(900'000, 'b'))));
  drive.follower.release();
  ASSERT_TRUE(written.get().ok());
  ASSERT_TRUE(flushed.get().ok());
  ASSERT_TRUE(flush(*file).ok());
  EXPECT_EQ(drive.primary.content(attr.ino), std::string(900'000, 'b'));
}

TEST(BackPressure, uncommitted_bytes_can_be_read_when_the_cache_keeps_nothing) {
  DriveOptions options = small_limit(kMiB);
  options.cache_bytes = 0;
  Drive drive(options);
  const auto file = drive.new_file();
  const std::string content = some_bytes(6 * kMiB);
  for (uint64_t at = 0; at < content.size(); at += kBlockSize) {
    ASSERT_TRUE(write(*file, at, content.substr(at, kBlockSize)).ok());
  }
  EXPECT_EQ(read(*file, 0, 8 * kMiB).value(), content);
}

TEST(BackPressure, writer_gets_the_error_when_uploads_fail) {
  DriveOptions options = small_limit(kMiB);
  options.io.timeout = std::chrono::milliseconds(200);
  Drive drive(options);
  drive.follower.set_hook([](const FakeFollower::Exchange&) {
    return std::optional<Result<HttpClientResponse>>(FakeFollower::answer(507));
  });
  const auto file = drive.new_file();
  ASSERT_TRUE(write(*file, 0, std::string(kMiB, 'a')).ok());
  EXPECT_TRUE(write(*file, kMiB, std::string(kMiB, 'b')).failed_with(Errc::no_space));
  EXPECT_EQ(read(*file, 0, 3).value(), "aaa");
  drive.follower.set_hook(nullptr);
  EXPECT_TRUE(in_some_tries([&] { return flush(*file); }));
  EXPECT_TRUE(in_some_tries([&] { return write(*file, kMiB, std::string(kMiB, 'b')); }));
}

TEST(BackPressure, end_of_the_mount_ends_every_wait) {
  Drive drive(small_limit(kMiB));
  drive.follower.hold("PUT");
  const auto file = drive.new_file();
  ASSERT_TRUE(write(*file, 0, std::string(kMiB, 'a')).ok());
  auto blocked = in_background(file->write(kMiB, Bytes::from_string(std::string(kMiB, 'b'))));
  drive.follower.wait_until_held(1);
  drive.io->stop();
  EXPECT_TRUE(blocked.get().failed_with(Errc::interrupted));
}

}  // namespace
}  // namespace aster::testing
