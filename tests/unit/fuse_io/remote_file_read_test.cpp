#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "drive.h"

namespace aster::testing {
namespace {

// Reads the whole file in steps, as the kernel does.
std::string read_through(FileContent& file, std::shared_ptr<ReadAhead> ahead, uint64_t step) {
  std::string all;
  for (;;) {
    const auto piece = read(file, all.size(), step, ahead);
    if (!piece.ok()) return piece.error().message();
    if (piece.value().empty()) return all;
    all += piece.value();
  }
}

TEST(FileRead, random_miss_fetches_just_its_block) {
  Drive drive;
  const std::string pattern = some_bytes(kBlockSize);
  const auto file = drive.open(drive.primary.create_virtual(1 << 30, pattern));
  EXPECT_EQ(read(*file, 700 * kMiB + 5, 10, drive.io->read_ahead()).value(), pattern.substr(5, 10));
  EXPECT_EQ(drive.follower.count("GET"), 1u);
  EXPECT_EQ(drive.follower.bytes("GET"), kBlockSize);
  EXPECT_EQ(drive.io->stats().bytes_read_remote, kBlockSize);
  EXPECT_EQ(read(*file, 700 * kMiB + 5, 10).value(), pattern.substr(5, 10));
  EXPECT_EQ(drive.follower.count("GET"), 1u);
}

TEST(FileRead, missing_neighbours_are_fetched_together) {
  Drive drive;
  const std::string content = some_bytes(2 * kMiB + 77);
  const auto file = drive.open(drive.primary.create_with(content));
  EXPECT_EQ(read(*file, 10, 3 * kMiB).value(), content.substr(10));
  EXPECT_EQ(drive.follower.count("GET"), 1u);
}

TEST(FileRead, warmed_files_are_read_without_asking_anybody) {
  Drive drive;
  std::atomic<int> manifests{0};
  drive.primary.set_hook([&](const fs::Operation& operation) -> std::optional<Error> {
    if (std::holds_alternative<fs::GetManifest>(operation)) ++manifests;
    return std::nullopt;
  });
  std::vector<std::shared_ptr<FileContent>> files;
  for (int i = 0; i < 3; ++i) {
    files.push_back(drive.open(drive.primary.create_with(some_bytes(3000, i))));
  }
  drive.io->warm(files);
  while (drive.follower.count("GET") < 3) std::this_thread::yield();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(read(*files[i], 0, 1 << 20).value(), some_bytes(3000, i));
  EXPECT_EQ(manifests, 3);
  EXPECT_EQ(drive.follower.count("GET"), 3u);
}

TEST(FileRead, a_manifest_that_cannot_be_had_in_advance_is_asked_for_when_it_is_read) {
  Drive drive;
  std::atomic<int> asked{0};
  drive.primary.set_hook([&](const fs::Operation& operation) -> std::optional<Error> {
    if (!std::holds_alternative<fs::GetManifest>(operation)) return std::nullopt;
    if (asked++ == 0) return fail(Errc::internal, "once");
    return std::nullopt;
  });
  const auto file = drive.open(drive.primary.create_with("text"));
  drive.io->warm({file});
  while (asked < 1) std::this_thread::yield();
  EXPECT_EQ(read(*file, 0, 10).value(), "text");
}

TEST(FileRead, sequential_read_takes_few_gets) {
  Drive drive;
  const std::string pattern = some_bytes(kBlockSize);
  const uint64_t size = 128 * kMiB;
  const auto file = drive.open(drive.primary.create_virtual(size, pattern));
  const auto ahead = drive.io->read_ahead();
  for (uint64_t at = 0; at < size; at += kBlockSize) {
    ASSERT_EQ(read(*file, at, kBlockSize, ahead).value(), pattern);
  }
  EXPECT_LE(drive.follower.count("GET"), 32u + 24);
  EXPECT_EQ(drive.follower.bytes("GET"), size);  // nothing twice
}

TEST(FileRead, read_ahead_works_with_a_cache_that_keeps_nothing) {
  DriveOptions options;
  options.cache_bytes = 0;
  Drive drive(options);
  const std::string content = some_bytes(12 * kMiB + 1234);
  const auto file = drive.open(drive.primary.create_with(content));
  EXPECT_TRUE(read_through(*file, drive.io->read_ahead(), kBlockSize) == content);
  EXPECT_LE(drive.follower.bytes("GET"), content.size() + 2 * kBlockSize);
}

TEST(FileRead, read_ahead_works_with_a_budget_for_almost_nothing) {
  DriveOptions options;
  options.io.read_ahead_budget = kMiB;
  Drive drive(options);
  const std::string content = some_bytes(8 * kMiB);
  const auto file = drive.open(drive.primary.create_with(content));
  const auto idle = drive.io->read_ahead();
  EXPECT_EQ(read(*file, 0, 100, idle).value(), content.substr(0, 100));
  EXPECT_EQ(read(*file, 100, 100, idle).value(), content.substr(100, 100));
  EXPECT_TRUE(read_through(*file, drive.io->read_ahead(), kBlockSize) == content);
}

TEST(FileRead, readers_of_one_block_share_its_fetch) {
  Drive drive;
  const std::string content = some_bytes(kBlockSize);
  const auto file = drive.open(drive.primary.create_with(content));
  drive.follower.hold("GET");
  std::vector<std::future<Result<std::vector<Bytes>>>> reads;
  for (int i = 0; i < 10; ++i) reads.push_back(in_background(file->read(0, 1000, nullptr)));
  drive.follower.wait_until_held(1);
  drive.follower.release();
  for (auto& one : reads) EXPECT_TRUE(one.get().ok());
  EXPECT_EQ(drive.follower.count("GET"), 1u);
}

TEST(FileRead, cache_on_disk_is_used_off_the_calling_thread) {
  DriveOptions options;
  options.slow_cache = true;
  Drive drive(options);
  const std::string content = some_bytes(3 * kMiB);
  const auto file = drive.open(drive.primary.create_with(content));
  EXPECT_EQ(read(*file, 0, 3 * kMiB).value(), content);
  const size_t gets = drive.follower.count("GET");
  EXPECT_EQ(read(*file, 0, 3 * kMiB).value(), content);
  EXPECT_EQ(drive.follower.count("GET"), gets);
}

TEST(FileRead, memory_hit_answers_on_the_calling_thread) {
  Drive drive;
  const auto file = drive.open(drive.primary.create_with(some_bytes(1000)));
  ASSERT_TRUE(read(*file, 0, 1000).ok());
  std::thread::id answered;
  start<Result<std::vector<Bytes>>>(file->read(0, 1000, nullptr), [&](Result<std::vector<Bytes>>) {
    answered = std::this_thread::get_id();
  });
  EXPECT_EQ(answered, std::this_thread::get_id());
}

TEST(FileRead, ends_at_the_end_of_the_file) {
  Drive drive;
  const auto file = drive.open(drive.primary.create_with("0123456789"));
  EXPECT_EQ(read(*file, 8, UINT64_MAX).value(), "89");
  EXPECT_EQ(read(*file, 10, 5).value(), "");
  EXPECT_EQ(read(*file, UINT64_MAX, 5).value(), "");
  EXPECT_EQ(read(*drive.new_file(), 0, 5).value(), "");
}

TEST(FileRead, manifest_comes_in_windows_of_any_size) {
  Drive drive;
  drive.primary.extents_per_answer = 3;
  const fs::Attr attr = drive.primary.create();
  std::string expected(400'000, '\0');
  for (uint64_t i = 0; i < 40; ++i) {
    drive.primary.change(attr.ino, i * 10'000, "piece " + std::to_string(i));
    expected.replace(i * 10'000, 8, ("piece " + std::to_string(i) + '\0').substr(0, 8));
  }
  const fs::Attr now = drive.primary.attr(attr.ino);
  expected.resize(now.size);
  const auto file = drive.open(now);
  EXPECT_TRUE(read(*file, 200'000, kMiB).value() == expected.substr(200'000));
  EXPECT_TRUE(read(*file, 0, kMiB).value() == expected);
}

TEST(FileRead, sees_somebody_elses_change_after_the_event) {
  Drive drive;
  const fs::Attr attr = drive.primary.create_with("before");
  const auto file = drive.open(attr);
  EXPECT_EQ(read(*file, 0, 100).value(), "before");
  drive.primary.change(attr.ino, 0, "after!!");
  EXPECT_EQ(read(*file, 0, 100).value(), "before");
  file->invalidate();
  EXPECT_EQ(read(*file, 0, 100).value(), "after!!");
  drive.primary.change(attr.ino, 0, "again");
  file->observe(drive.primary.attr(attr.ino));
  EXPECT_EQ(read(*file, 0, 100).value(), "again!!");
  file->observe(attr);  // an old answer that came late
  EXPECT_EQ(read(*file, 0, 100).value(), "again!!");
}

TEST(FileRead, answer_that_a_change_overtook_is_not_believed) {
  Drive drive;
  const fs::Attr attr = drive.primary.create_with("before");
  const auto file = drive.open(attr);
  std::atomic<int> asked = 0;
  drive.primary.set_hook([&](const fs::Operation& operation) -> std::optional<Error> {
    if (std::holds_alternative<fs::GetManifest>(operation) && asked++ == 0) {
      // The change lands after this answer was made, its event arrives before the answer.
      file->invalidate();
    }
    return std::nullopt;
  });
  EXPECT_EQ(read(*file, 0, 100).value(), "before");
  EXPECT_EQ(asked, 2);
}

TEST(FileRead, believes_a_primary_that_was_restored_from_a_backup) {
  Drive drive;
  const fs::Attr attr = drive.primary.create_with("restored");
  fs::Attr newer = attr;
  newer.data_version += 5;
  newer.size = 100;
  const auto file = drive.open(newer);
  EXPECT_EQ(read(*file, 0, 100).value(), "restored");
}

TEST(FileRead, window_doubles_only_as_it_is_used) {
  Drive drive;
  const std::string pattern = some_bytes(kBlockSize);
  const auto file = drive.open(drive.primary.create_virtual(1 << 30, pattern));
  const auto ahead = drive.io->read_ahead();
  ASSERT_TRUE(read(*file, 0, 4096, ahead).ok());
  EXPECT_EQ(drive.follower.bytes("GET"), kBlockSize);
  ASSERT_TRUE(read(*file, 4096, 4096, ahead).ok());
  ASSERT_TRUE(read(*file, 900 * kMiB, 4096, ahead).ok());
  drive.io->stop();  // ends read-ahead: the log is complete when nothing runs
  drive.io.reset();
  EXPECT_LE(drive.follower.bytes("GET"), 2 * kMiB);
}

}  // namespace
}  // namespace aster::testing
