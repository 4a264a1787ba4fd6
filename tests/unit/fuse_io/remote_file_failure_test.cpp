#include <gtest/gtest.h>

#include "drive.h"
#include "fuse/io/unsent_errors.h"

namespace aster::testing {
namespace {

using Served = std::optional<Result<HttpClientResponse>>;

DriveOptions impatient() {
  DriveOptions options;
  options.io.timeout = std::chrono::milliseconds(300);
  return options;
}

// Answers the first `times` exchanges of `method` with `answer`.
FakeFollower::Hook failing(std::string method, int times, Result<HttpClientResponse> answer) {
  auto left = std::make_shared<std::atomic<int>>(times);
  return [method, left, answer](const FakeFollower::Exchange& exchange) -> Served {
    if (exchange.method != method || (*left)-- <= 0) return std::nullopt;
    return answer;
  };
}

TEST(Failure, failed_put_is_repeated_under_another_name) {
  Drive drive;
  const fs::Attr attr = drive.primary.create();
  const auto file = drive.open(attr);
  drive.follower.set_hook(failing("PUT", 2, FakeFollower::answer(503)));
  ASSERT_TRUE(write(*file, 0, "precious").ok());
  ASSERT_TRUE(flush(*file).ok());
  EXPECT_EQ(drive.primary.content(attr.ino), "precious");
  EXPECT_EQ(drive.io->stats().failed_uploads, 2u);
  EXPECT_EQ(drive.follower.count("PUT"), 3u);
  EXPECT_EQ(drive.follower.reused_names(), 0u);
  std::set<std::string> names;
  for (const auto& exchange : drive.follower.log()) names.insert(exchange.url);
  EXPECT_EQ(names.size(), 3u);
}

TEST(Failure, flush_reports_a_dead_follower_and_the_next_one_succeeds) {
  Drive drive(impatient());
  const fs::Attr attr = drive.primary.create();
  const auto file = drive.open(attr);
  drive.follower.set_hook(failing("PUT", 1 << 20, fail(Errc::unavailable, "refused")));
  ASSERT_TRUE(write(*file, 0, "precious").ok());
  EXPECT_TRUE(flush(*file).failed_with(Errc::unavailable));
  EXPECT_TRUE(file->dirty());
  EXPECT_EQ(read(*file, 0, 100).value(), "precious");
  EXPECT_EQ(drive.primary.count("commit"), 0u);
  drive.follower.set_hook(nullptr);
  ASSERT_TRUE(in_some_tries([&] { return flush(*file); }));
  EXPECT_EQ(drive.primary.content(attr.ino), "precious");
}

TEST(Failure, what_fails_in_the_background_is_told_before_any_flush) {
  DriveOptions options = impatient();
  options.io.dirty_limit = kMiB;
  Drive drive(options);
  const fs::Attr attr = drive.primary.create();
  const auto file = drive.open(attr);
  drive.follower.set_hook(failing("PUT", 1 << 20, FakeFollower::answer(507)));
  ASSERT_TRUE(write(*file, 0, some_bytes(kMiB)).ok());
  // Nobody flushed: the data goes because the next writer needs its room.
  EXPECT_TRUE(write(*file, kMiB, "more").failed_with(Errc::no_space));
  const std::vector<UnsentErrors::Entry> failures = drive.io->unsent_errors().all();
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_EQ(failures[0].ino, attr.ino);
  EXPECT_EQ(failures[0].error.code, Errc::no_space);
  EXPECT_GE(failures[0].attempts, 1u);
  EXPECT_GT(failures[0].since, 0);
}

TEST(Failure, full_follower_is_no_space_at_once) {
  Drive drive;
  const auto file = drive.new_file();
  drive.follower.set_hook(failing("PUT", 1, FakeFollower::answer(507)));
  ASSERT_TRUE(write(*file, 0, "x").ok());
  EXPECT_TRUE(flush(*file).failed_with(Errc::no_space));
  EXPECT_EQ(drive.follower.count("PUT"), 1u);
  EXPECT_TRUE(flush(*file).ok());
}

TEST(Failure, what_a_follower_says_of_its_objects_is_an_io_error_to_a_writer) {
  for (const int status : {400, 404, 409, 412, 501}) {
    Drive drive(impatient());
    const auto file = drive.new_file();
    drive.follower.set_hook(failing("PUT", 1 << 20, FakeFollower::answer(status)));
    ASSERT_TRUE(write(*file, 0, "content").ok());
    EXPECT_TRUE(flush(*file).failed_with(Errc::io_error)) << status;
  }
}

TEST(Failure, a_size_that_no_policy_takes_is_an_io_error_to_a_writer) {
  Drive drive;
  const auto file = drive.new_file();
  drive.primary.set_hook([](const fs::Operation& operation) -> std::optional<Error> {
    if (std::holds_alternative<fs::Grant>(operation)) return Error{Errc::bad_request, "group g"};
    return std::nullopt;
  });
  ASSERT_TRUE(write(*file, 0, "x").ok());
  const Result<void> flushed = flush(*file);
  ASSERT_TRUE(flushed.failed_with(Errc::io_error)) << "EINVAL passes for success at fsync(2)";
  EXPECT_EQ(flushed.error().context, "group g");
}

TEST(Failure, used_up_quota_is_reported_as_such) {
  Drive drive;
  const auto file = drive.new_file();
  drive.primary.set_hook([](const fs::Operation& operation) -> std::optional<Error> {
    if (std::holds_alternative<fs::Grant>(operation)) return Error{Errc::quota_exceeded, "quota"};
    return std::nullopt;
  });
  ASSERT_TRUE(write(*file, 0, "x").ok());
  EXPECT_TRUE(flush(*file).failed_with(Errc::quota_exceeded));
}

TEST(Failure, failed_commit_is_repeated_without_another_upload) {
  Drive drive;
  const fs::Attr attr = drive.primary.create();
  const auto file = drive.open(attr);
  std::atomic<int> left = 1;
  drive.primary.set_hook([&](const fs::Operation& operation) -> std::optional<Error> {
    if (std::holds_alternative<fs::Commit>(operation) && left-- > 0) {
      return Error{Errc::unavailable, "primary is down"};
    }
    return std::nullopt;
  });
  ASSERT_TRUE(write(*file, 0, "abc").ok());
  EXPECT_TRUE(flush(*file).failed_with(Errc::unavailable));
  EXPECT_EQ(read(*file, 0, 3).value(), "abc");
  EXPECT_TRUE(flush(*file).ok());
  EXPECT_EQ(drive.follower.count("PUT"), 1u);
  EXPECT_EQ(drive.primary.content(attr.ino), "abc");
}

TEST(Failure, one_failed_part_keeps_the_whole_flush_from_being_seen) {
  Drive drive;
  const fs::Attr attr = drive.primary.create();
  const auto file = drive.open(attr);
  drive.follower.set_hook(failing("PUT", 1, FakeFollower::answer(507)));
  const std::string content = some_bytes(3 * kMiB);
  ASSERT_TRUE(write(*file, 0, content).ok());
  EXPECT_FALSE(flush(*file).ok());
  EXPECT_EQ(drive.primary.attr(attr.ino).size, 0u);
  EXPECT_EQ(read(*file, 0, 4 * kMiB).value(), content);
  ASSERT_TRUE(flush(*file).ok());
  EXPECT_EQ(drive.primary.content(attr.ino), content);
  EXPECT_EQ(drive.follower.count("PUT"), 4u);
}

TEST(Failure, block_that_was_corrupt_once_is_fetched_again) {
  Drive drive;
  const std::string content = some_bytes(4 * kBlockSize);
  const fs::Attr attr = drive.primary.create_with(content);
  const auto file = drive.open(attr);
  drive.follower.corrupt(drive.primary.object_url_at(attr.ino, 0), kBlockSize + 5, 1);
  EXPECT_EQ(read(*file, 0, kMiB).value(), content);
  EXPECT_EQ(drive.io->stats().corrupt_blocks, 1u);
  EXPECT_EQ(drive.follower.count("GET"), 2u);
  EXPECT_EQ(drive.follower.bytes("GET"), 5 * kBlockSize);
}

TEST(Failure, block_that_stays_corrupt_is_never_handed_out) {
  Drive drive;
  const std::string content = some_bytes(4 * kBlockSize);
  const fs::Attr attr = drive.primary.create_with(content);
  const auto file = drive.open(attr);
  drive.follower.corrupt(drive.primary.object_url_at(attr.ino, 0), kBlockSize + 5, 1 << 20);
  EXPECT_TRUE(read(*file, 0, kMiB).failed_with(Errc::corrupt));
  EXPECT_TRUE(read(*file, kBlockSize, 1).failed_with(Errc::corrupt));
  EXPECT_EQ(read(*file, 0, 100).value(), content.substr(0, 100));
}

TEST(Failure, objects_that_were_composed_away_are_found_again) {
  Drive drive;
  const fs::Attr attr = drive.primary.create();
  const std::string content = some_bytes(3 * kMiB);
  for (uint64_t at = 0; at < content.size(); at += kMiB) {
    drive.primary.change(attr.ino, at, content.substr(at, kMiB));
  }
  const auto file = drive.open(drive.primary.attr(attr.ino));
  EXPECT_EQ(read(*file, 0, 100).value(), content.substr(0, 100));
  drive.primary.compose(attr.ino);
  EXPECT_EQ(read(*file, 0, 4 * kMiB).value(), content);
  EXPECT_EQ(drive.primary.count("manifest"), 2u);
}

TEST(Failure, object_that_is_lost_is_an_io_error_in_the_end) {
  Drive drive(impatient());
  const fs::Attr attr = drive.primary.create_with("lost");
  drive.follower.remove(drive.primary.object_url_at(attr.ino, 0));
  EXPECT_TRUE(read(*drive.open(attr), 0, 10).failed_with(Errc::io_error));
}

TEST(Failure, refused_url_is_replaced_by_a_fresh_one) {
  Drive drive;
  const fs::Attr attr = drive.primary.create_with("content");
  drive.follower.set_hook(failing("GET", 1, FakeFollower::answer(403)));
  EXPECT_EQ(read(*drive.open(attr), 0, 10).value(), "content");
  EXPECT_EQ(drive.primary.count("manifest"), 2u);
}

TEST(Failure, url_that_is_about_to_expire_is_not_used) {
  Drive drive;
  drive.primary.url_lifetime = 30;
  const fs::Attr attr = drive.primary.create_with(some_bytes(kMiB));
  const auto file = drive.open(attr);
  ASSERT_TRUE(read(*file, 0, 10).ok());
  EXPECT_EQ(drive.primary.count("manifest"), 1u);  // fresh, though short-lived
  ASSERT_TRUE(read(*file, 0, 10).ok());            // cached
  EXPECT_EQ(drive.primary.count("manifest"), 1u);
  ASSERT_TRUE(read(*file, 900'000, 10).ok());
  EXPECT_EQ(drive.primary.count("manifest"), 2u);
}

TEST(Failure, lost_connections_are_tried_again) {
  Drive drive;
  const fs::Attr attr = drive.primary.create_with("content");
  drive.follower.set_hook(failing("GET", 2, fail(Errc::unavailable, "reset")));
  EXPECT_EQ(read(*drive.open(attr), 0, 10).value(), "content");
}

TEST(Failure, silent_follower_ends_with_an_error_at_the_deadline) {
  Drive drive(impatient());
  const fs::Attr attr = drive.primary.create_with("content");
  drive.follower.hold("GET");
  EXPECT_TRUE(read(*drive.open(attr), 0, 10).failed_with(Errc::timeout));
  drive.follower.release();
  EXPECT_TRUE(in_some_tries([&] { return read(*drive.open(attr), 0, 10); }));
}

// What all uploads together may wait for a follower that hangs, in units of the timeout, when files
// of this size are flushed at the same time and few of them have their turn.
double waited_for_silence(uint64_t file_size) {
  constexpr int kFiles = 12;
  DriveOptions options;
  options.io.timeout = std::chrono::milliseconds(1000);
  options.io.parallel_uploads = 1;
  Drive drive(options);
  drive.follower.hold("PUT");
  std::vector<std::shared_ptr<FileContent>> files;
  std::vector<std::future<Result<void>>> flushed;
  for (int i = 0; i < kFiles; ++i) {
    files.push_back(drive.new_file());
    EXPECT_TRUE(write(*files.back(), 0, std::string(file_size, 'x')).ok());
  }
  for (const auto& file : files) flushed.push_back(in_background(file->flush(false)));
  for (auto& one : flushed) EXPECT_TRUE(one.get().failed_with(Errc::timeout));
  std::chrono::milliseconds waited{};
  for (const FakeFollower::Exchange& one : drive.follower.held()) waited += one.patience;
  // Nothing is lost, and nothing that failed stands in the way of what comes next.
  drive.follower.release();
  for (const auto& file : files) {
    EXPECT_TRUE(file->dirty());
    EXPECT_TRUE(in_some_tries([&] { return flush(*file); }));
  }
  return static_cast<double>(waited.count()) / 1000;
}

TEST(Failure, who_waits_for_an_upload_slot_waits_no_longer_than_the_deadline) {
  EXPECT_LT(waited_for_silence(2 * kBlockSize), 5);  // 12 when each has its own from its turn on
}

TEST(Failure, who_waits_for_a_pack_waits_no_longer_than_the_deadline) {
  EXPECT_LT(waited_for_silence(100), 2.5);  // 3: two packs of one, then one of all others
}

TEST(Failure, what_is_queued_goes_on_while_objects_arrive) {
  constexpr size_t kFiles = 6;
  DriveOptions options;
  options.io.timeout = std::chrono::milliseconds(3000);
  options.io.parallel_uploads = 1;
  Drive drive(options);
  // All together take more than any could wait in silence.
  drive.follower.set_hook([](const FakeFollower::Exchange& exchange) -> Served {
    if (exchange.method == "PUT") std::this_thread::sleep_for(std::chrono::milliseconds(600));
    return std::nullopt;
  });
  std::vector<std::shared_ptr<FileContent>> files;
  std::vector<std::future<Result<void>>> flushed;
  for (size_t i = 0; i < kFiles; ++i) {
    files.push_back(drive.new_file());
    ASSERT_TRUE(write(*files.back(), 0, std::string(2 * kBlockSize, 'x')).ok());
  }
  for (const auto& file : files) flushed.push_back(in_background(file->flush(false)));
  for (auto& one : flushed) EXPECT_TRUE(one.get().ok());
  EXPECT_EQ(drive.follower.count("PUT"), kFiles);
}

TEST(Failure, answer_of_another_length_or_range_is_an_error) {
  Drive drive;
  const fs::Attr attr = drive.primary.create_with(some_bytes(kMiB));
  const auto file = drive.open(attr);
  drive.follower.set_hook(failing("GET", 1, FakeFollower::answer(206, "")));
  EXPECT_TRUE(read(*file, 0, 10).failed_with(Errc::io_error));
  drive.follower.set_hook(failing("GET", 1, FakeFollower::answer(204)));
  EXPECT_TRUE(read(*file, 0, 10).failed_with(Errc::io_error));
  drive.follower.set_hook(failing("GET", 1, FakeFollower::answer(400)));
  EXPECT_TRUE(read(*file, 0, 10).failed_with(Errc::io_error));
  EXPECT_TRUE(read(*file, 0, 10).ok());
}

TEST(Failure, failed_read_ahead_does_not_fail_the_reader) {
  Drive drive;
  const std::string content = some_bytes(4 * kMiB);
  const auto file = drive.open(drive.primary.create_with(content));
  std::atomic<int> gets = 0;
  drive.follower.set_hook([&](const FakeFollower::Exchange& exchange) -> Served {
    if (exchange.last - exchange.first >= kBlockSize && gets++ < 3) {
      return FakeFollower::answer(500);
    }
    return std::nullopt;
  });
  const auto ahead = drive.io->read_ahead();
  for (uint64_t at = 0; at < content.size(); at += kBlockSize) {
    ASSERT_EQ(read(*file, at, kBlockSize, ahead).value(), content.substr(at, kBlockSize));
  }
}

TEST(Failure, dirty_file_that_is_dropped_gives_its_memory_back) {
  Drive drive;
  {
    const auto file = drive.new_file();
    ASSERT_TRUE(write(*file, 0, std::string(100'000, 'a')).ok());
    EXPECT_EQ(drive.io->stats().dirty_bytes, 100'000u);
  }
  EXPECT_EQ(drive.io->stats().dirty_bytes, 0u);
}

}  // namespace
}  // namespace aster::testing
