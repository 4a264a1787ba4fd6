#include <gtest/gtest.h>

#include <thread>

#include "drive.h"

namespace aster::testing {
namespace {

TEST(FileWrite, new_file_reads_back_in_every_phase) {
  Drive drive;
  const fs::Attr attr = drive.primary.create();
  const auto file = drive.open(attr);
  const std::string content = some_bytes(300'000);
  ASSERT_TRUE(write(*file, 0, content).ok());
  EXPECT_TRUE(file->dirty());
  EXPECT_EQ(file->size(), content.size());
  EXPECT_EQ(read(*file, 0, kMiB).value(), content);

  drive.follower.hold("PUT");
  auto flushed = in_background(file->flush(false));
  drive.follower.wait_until_held(1);
  EXPECT_EQ(read(*file, 0, kMiB).value(), content);
  drive.follower.release();
  ASSERT_TRUE(flushed.get().ok());

  EXPECT_FALSE(file->dirty());
  EXPECT_EQ(read(*file, 1000, 1000).value(), content.substr(1000, 1000));
  EXPECT_EQ(drive.primary.content(attr.ino), content);
  drive.cache.clear();
  EXPECT_EQ(read(*file, 0, kMiB).value(), content);
  const auto again = drive.open(drive.primary.attr(attr.ino));
  drive.cache.clear();
  EXPECT_EQ(read(*again, 100'000, 100'000).value(), content.substr(100'000, 100'000));
}

TEST(FileWrite, small_file_takes_one_grant_one_put_and_one_commit) {
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

TEST(FileWrite, sequential_data_goes_up_in_parts_while_the_writer_goes_on) {
  Drive drive;
  const fs::Attr attr = drive.primary.create();
  const auto file = drive.open(attr);
  const std::string content = some_bytes(8 * kMiB + 1000);
  for (uint64_t at = 0; at < content.size(); at += kBlockSize) {
    ASSERT_TRUE(write(*file, at, content.substr(at, kBlockSize)).ok());
  }
  drive.follower.wait_until_served("PUT", 8);  // nobody flushed
  EXPECT_EQ(drive.primary.count("commit"), 0u);
  ASSERT_TRUE(flush(*file, true).ok());
  EXPECT_EQ(drive.follower.count("PUT"), 9u);
  EXPECT_LE(drive.primary.count("grant"), 3u);
  const auto commits = drive.primary.commits();
  ASSERT_EQ(commits.size(), 1u);
  EXPECT_TRUE(commits[0].sealed);
  ASSERT_EQ(commits[0].extents.size(), 9u);
  for (size_t i = 0; i < 9; ++i) {
    EXPECT_EQ(commits[0].extents[i].offset, i * kMiB);
    EXPECT_EQ(commits[0].extents[i].object_offset, 0u);
  }
  EXPECT_EQ(drive.primary.content(attr.ino), content);
  EXPECT_EQ(drive.io->stats().bytes_uploaded, content.size());
  EXPECT_EQ(drive.io->stats().dirty_bytes, 0u);
}

TEST(FileWrite, overwrite_during_an_upload_wins_and_goes_out_with_the_next_flush) {
  Drive drive;
  const fs::Attr attr = drive.primary.create();
  const auto file = drive.open(attr);
  ASSERT_TRUE(write(*file, 0, "aaaaaaaa").ok());
  drive.follower.hold("PUT");
  auto flushed = in_background(file->flush(false));
  drive.follower.wait_until_held(1);
  ASSERT_TRUE(write(*file, 2, "bbb").ok());
  EXPECT_EQ(read(*file, 0, 8).value(), "aabbbaaa");
  drive.follower.release();
  ASSERT_TRUE(flushed.get().ok());
  // The first flush promised what was written before it.
  EXPECT_EQ(drive.primary.content(attr.ino), "aaaaaaaa");
  EXPECT_EQ(read(*file, 0, 8).value(), "aabbbaaa");
  EXPECT_TRUE(file->dirty());
  ASSERT_TRUE(flush(*file).ok());
  EXPECT_EQ(drive.primary.content(attr.ino), "aabbbaaa");
}

TEST(FileWrite, write_during_a_commit_stays_dirty) {
  Drive drive;
  const fs::Attr attr = drive.primary.create();
  const auto file = drive.open(attr);
  ASSERT_TRUE(write(*file, 0, "aaaa").ok());
  std::atomic<bool> written = false;
  drive.primary.set_hook([&](const fs::Operation& operation) -> std::optional<Error> {
    if (std::holds_alternative<fs::Commit>(operation) && !written.exchange(true)) {
      start<Result<void>>(file->write(3, Bytes::from_string("bb")), [](Result<void>) {});
    }
    return std::nullopt;
  });
  ASSERT_TRUE(flush(*file).ok());
  EXPECT_EQ(drive.primary.content(attr.ino), "aaaa");
  EXPECT_EQ(read(*file, 0, 8).value(), "aaabb");
  ASSERT_TRUE(flush(*file).ok());
  EXPECT_EQ(drive.primary.content(attr.ino), "aaabb");
}

TEST(FileWrite, four_kilobytes_in_a_gigabyte_upload_four_kilobytes) {
  Drive drive;
  const std::string pattern = some_bytes(kBlockSize);
  const auto file = drive.open(drive.primary.create_virtual(1 << 30, pattern));
  const uint64_t at = 500 * kMiB + 4096;
  ASSERT_TRUE(write(*file, at, std::string(4096, 'x')).ok());
  ASSERT_TRUE(flush(*file, true).ok());
  EXPECT_EQ(drive.follower.bytes("PUT"), 4096u);
  EXPECT_EQ(drive.follower.count("GET"), 0u);
  const std::string around = read(*file, at - 4096, 3 * 4096).value();
  EXPECT_EQ(around, pattern.substr(0, 4096) + std::string(4096, 'x') + pattern.substr(8192, 4096));
}

TEST(FileWrite, scattered_changes_share_one_object) {
  Drive drive;
  const fs::Attr attr = drive.primary.create_with(some_bytes(4 * kMiB));
  const auto file = drive.open(attr);
  std::string expected = drive.primary.content(attr.ino);
  for (uint64_t i = 1; i < 100; ++i) {
    ASSERT_TRUE(write(*file, i * 40'000, "change").ok());
    expected.replace(i * 40'000, 6, "change");
  }
  ASSERT_TRUE(flush(*file).ok());
  EXPECT_EQ(drive.follower.count("PUT"), 1u);
  EXPECT_EQ(drive.follower.bytes("PUT"), 99u * 6);
  EXPECT_EQ(drive.primary.content(attr.ino), expected);
  EXPECT_EQ(read(*file, 0, 8 * kMiB).value(), expected);
}

TEST(FileWrite, truncation_reaches_bytes_in_flight) {
  Drive drive;
  const fs::Attr attr = drive.primary.create();
  const auto file = drive.open(attr);
  ASSERT_TRUE(write(*file, 0, std::string(5 * kMiB, 'a')).ok());  // asks for the part size
  drive.follower.wait_until_served("PUT", 5);
  drive.follower.hold("PUT");
  ASSERT_TRUE(write(*file, 5 * kMiB, std::string(kMiB, 'b')).ok());
  drive.follower.wait_until_held(1);
  ASSERT_TRUE(truncate(*file, attr.ino, kMiB / 2).ok());
  ASSERT_TRUE(truncate(*file, attr.ino, 6 * kMiB).ok());
  drive.follower.release();
  ASSERT_TRUE(flush(*file).ok());
  const std::string expected = std::string(kMiB / 2, 'a') + std::string(5 * kMiB + kMiB / 2, '\0');
  EXPECT_EQ(read(*file, 0, 8 * kMiB).value(), expected);
  EXPECT_EQ(drive.primary.content(attr.ino), expected);
}

TEST(FileWrite, truncation_to_nothing_needs_no_manifest_afterwards) {
  Drive drive;
  const fs::Attr attr = drive.primary.create_with("old content");
  const auto file = drive.open(attr);
  ASSERT_TRUE(truncate(*file, attr.ino, 0).ok());
  EXPECT_EQ(file->size(), 0u);
  ASSERT_TRUE(write(*file, 0, "new").ok());
  ASSERT_TRUE(flush(*file, true).ok());
  EXPECT_EQ(read(*file, 0, 100).value(), "new");
  EXPECT_EQ(drive.primary.count("manifest"), 0u);
}

TEST(FileWrite, sparse_files_read_zeros_and_tell_their_holes) {
  Drive drive;
  const fs::Attr attr = drive.primary.create();
  const auto file = drive.open(attr);
  const auto seek = [&](uint64_t offset, bool hole) {
    return run_blocking(file->seek(offset, hole));
  };
  ASSERT_TRUE(write(*file, 2 * kMiB, "data").ok());
  const auto check = [&] {
    EXPECT_EQ(read(*file, 2 * kMiB - 3, 100).value(), std::string(3, '\0') + "data");
    EXPECT_EQ(read(*file, 0, 300'000).value(), std::string(300'000, '\0'));
    EXPECT_EQ(seek(0, false).value(), 2 * kMiB);
    EXPECT_EQ(seek(0, true).value(), 0u);
    EXPECT_EQ(seek(2 * kMiB + 1, true).value(), 2 * kMiB + 4);
    EXPECT_TRUE(seek(2 * kMiB + 4, true).failed_with(Errc::no_attribute));
  };
  check();
  ASSERT_TRUE(flush(*file).ok());
  check();
  file->invalidate();
  check();
  ASSERT_TRUE(truncate(*file, attr.ino, 5ull << 30).ok());
  EXPECT_EQ(seek(3 * kMiB, true).value(), 3 * kMiB);
  EXPECT_TRUE(seek(3 * kMiB, false).failed_with(Errc::no_attribute));
  EXPECT_EQ(read(*file, 4ull << 30, 10).value(), std::string(10, '\0'));
  EXPECT_EQ(drive.follower.bytes("PUT"), 4u);
}

TEST(FileWrite, the_only_byte_of_the_largest_file_is_found_in_few_questions) {
  Drive drive;
  const fs::Attr attr = drive.primary.create();
  const auto file = drive.open(attr);
  ASSERT_TRUE(write(*file, fs::kFileSizeMax - 1, "x").ok());
  ASSERT_TRUE(flush(*file).ok());
  const auto other = drive.open(drive.primary.attr(attr.ino));
  const Result<uint64_t> found = run_blocking(other->seek(5, false));
  ASSERT_TRUE(found.ok()) << found.error().message();
  EXPECT_EQ(*found, fs::kFileSizeMax - 1);
  EXPECT_LT(drive.primary.count("manifest"), 16u);
}

TEST(FileWrite, appends_of_several_threads_never_overlap) {
  Drive drive;
  const fs::Attr attr = drive.primary.create();
  const auto file = drive.open(attr);
  {
    std::vector<std::jthread> writers;
    for (char c = 'a'; c < 'e'; ++c) {
      writers.emplace_back([&file, c] {
        for (int i = 0; i < 50; ++i) {
          ASSERT_TRUE(run_blocking(file->append(Bytes::from_string(std::string(100, c)))).ok());
        }
      });
    }
  }
  ASSERT_TRUE(flush(*file).ok());
  const std::string content = drive.primary.content(attr.ino);
  ASSERT_EQ(content.size(), 4u * 50 * 100);
  for (size_t at = 0; at < content.size(); at += 100) {
    EXPECT_EQ(content.substr(at, 100), std::string(100, content[at]));
  }
}

TEST(FileWrite, append_after_somebody_elses_change_goes_to_the_new_end) {
  Drive drive;
  const fs::Attr attr = drive.primary.create_with("12345");
  const auto file = drive.open(attr);
  drive.primary.change(attr.ino, 5, "6789");
  file->invalidate();
  EXPECT_EQ(file->size(), std::nullopt);
  EXPECT_EQ(run_blocking(file->append(Bytes::from_string("!"))).value(), 9u);
  EXPECT_EQ(read(*file, 0, 100).value(), "123456789!");
}

TEST(FileWrite, last_close_tells_the_primary_even_when_everything_was_committed) {
  Drive drive;
  const auto file = drive.new_file();
  ASSERT_TRUE(write(*file, 0, std::string(3 * kMiB, 'a')).ok());
  ASSERT_TRUE(flush(*file, false).ok());
  ASSERT_TRUE(flush(*file, true).ok());
  auto commits = drive.primary.commits();
  ASSERT_EQ(commits.size(), 2u);
  EXPECT_FALSE(commits[0].sealed);
  EXPECT_TRUE(commits[1].sealed);
  EXPECT_TRUE(commits[1].extents.empty());
  ASSERT_TRUE(flush(*file, true).ok());
  EXPECT_EQ(drive.primary.commits().size(), 2u);
}

TEST(FileWrite, file_of_one_extent_needs_no_sealing) {
  Drive drive;
  const auto file = drive.new_file();
  ASSERT_TRUE(write(*file, 0, "small").ok());
  ASSERT_TRUE(flush(*file, false).ok());
  ASSERT_TRUE(flush(*file, true).ok());
  EXPECT_EQ(drive.primary.commits().size(), 1u);
}

TEST(FileWrite, commit_over_somebody_elses_change_keeps_both) {
  Drive drive;
  const fs::Attr attr = drive.primary.create_with("aaaaaaaa");
  const auto file = drive.open(attr);
  EXPECT_EQ(read(*file, 0, 8).value(), "aaaaaaaa");
  ASSERT_TRUE(write(*file, 0, "xx").ok());
  drive.primary.change(attr.ino, 4, "yy");
  ASSERT_TRUE(flush(*file).ok());
  EXPECT_EQ(drive.primary.content(attr.ino), "xxaayyaa");
  EXPECT_EQ(read(*file, 0, 8).value(), "xxaayyaa");
}

TEST(FileWrite, concurrent_flushes_share_their_work) {
  Drive drive;
  const auto file = drive.new_file();
  ASSERT_TRUE(write(*file, 0, "shared").ok());
  drive.follower.hold("PUT");
  std::vector<std::future<Result<void>>> flushes;
  for (int i = 0; i < 8; ++i) flushes.push_back(in_background(file->flush(false)));
  drive.follower.wait_until_held(1);
  drive.follower.release();
  for (auto& one : flushes) EXPECT_TRUE(one.get().ok());
  EXPECT_EQ(drive.follower.count("PUT"), 1u);
  EXPECT_EQ(drive.primary.count("commit"), 1u);
}

TEST(FileWrite, attributes_show_unsent_writes) {
  Drive drive;
  fs::Attr attr = drive.primary.create();
  const auto file = drive.open(attr);
  ASSERT_TRUE(write(*file, 1000, "abc").ok());
  const fs::Attr seen = file->overlay(attr);
  EXPECT_EQ(seen.size, 1003u);
  EXPECT_EQ(seen.allocated, 3u);
  EXPECT_GT(seen.mtime, 0);
  ASSERT_TRUE(flush(*file).ok());
  EXPECT_EQ(drive.primary.attr(attr.ino).mtime, seen.mtime);
  // An answer from before the commit does not hide it.
  EXPECT_EQ(file->overlay(attr).size, 1003u);
}

TEST(FileWrite, time_that_was_set_after_a_write_survives_its_commit) {
  Drive drive;
  const fs::Attr attr = drive.primary.create();
  const auto file = drive.open(attr);
  ASSERT_TRUE(write(*file, 0, "abc").ok());
  fs::SetAttr change;
  change.ino = attr.ino;
  change.mtime = 1'000'000'000;
  ASSERT_TRUE(run_blocking(file->truncate(change)).ok());
  EXPECT_EQ(read(*file, 0, 3).value(), "abc");
  ASSERT_TRUE(flush(*file, true).ok());
  EXPECT_EQ(drive.primary.attr(attr.ino).mtime, 1'000'000'000);
}

TEST(FileWrite, refuses_offsets_beyond_the_largest_file) {
  Drive drive;
  const auto file = drive.new_file();
  EXPECT_TRUE(write(*file, fs::kFileSizeMax, "x").failed_with(Errc::too_large));
  EXPECT_TRUE(write(*file, UINT64_MAX, "x").failed_with(Errc::too_large));
  EXPECT_FALSE(file->dirty());
}

fs::SetAttr change_of(const fs::Attr& attr) {
  fs::SetAttr change;
  change.ino = attr.ino;
  return change;
}

TEST(FilePack, small_files_that_are_closed_together_share_an_object_and_its_grant) {
  Drive drive;
  std::vector<fs::Attr> attrs;
  std::vector<std::shared_ptr<FileContent>> files;
  std::vector<std::future<Result<void>>> closed;
  drive.follower.hold("PUT");
  for (uint64_t i = 0; i < 20; ++i) {
    attrs.push_back(drive.primary.create());
    files.push_back(drive.open(attrs.back()));
    ASSERT_TRUE(write(*files.back(), 0, some_bytes(1000 + i, i)).ok());
  }
  // Two packs may be under way: with one file each. The rest gathers.
  for (size_t i = 0; i < 2; ++i) closed.push_back(in_background(files[i]->flush(true)));
  drive.follower.wait_until_held(2);
  for (size_t i = 2; i < 20; ++i) closed.push_back(in_background(files[i]->flush(true)));
  drive.follower.release();
  for (auto& one : closed) EXPECT_TRUE(one.get().ok());
  EXPECT_LE(drive.follower.count("PUT"), 4u);
  EXPECT_EQ(drive.primary.count("grant"), 1u);
  for (uint64_t i = 0; i < 20; ++i) {
    EXPECT_EQ(drive.primary.content(attrs[i].ino), some_bytes(1000 + i, i));
    EXPECT_EQ(read(*files[i], 0, 4096).value(), some_bytes(1000 + i, i));
    EXPECT_FALSE(files[i]->dirty());
  }
  EXPECT_EQ(drive.io->stats().dirty_bytes, 0u);
}

TEST(FilePack, a_neighbour_comes_from_the_cache) {
  Drive drive;
  std::vector<fs::Attr> attrs;
  std::vector<std::future<Result<void>>> closed;
  drive.follower.hold("PUT");
  std::vector<std::shared_ptr<FileContent>> files;
  for (uint64_t i = 0; i < 10; ++i) {
    attrs.push_back(drive.primary.create());
    files.push_back(drive.open(attrs.back()));
    ASSERT_TRUE(write(*files.back(), 0, some_bytes(500, i)).ok());
    closed.push_back(in_background(files.back()->flush(true)));
    if (i == 1) drive.follower.wait_until_held(2);
  }
  drive.follower.release();
  for (auto& one : closed) ASSERT_TRUE(one.get().ok());
  drive.cache.clear();
  for (uint64_t i = 2; i < 10; ++i) {
    const auto file = drive.open(drive.primary.attr(attrs[i].ino));
    EXPECT_EQ(read(*file, 0, 4096).value(), some_bytes(500, i));
  }
  EXPECT_LE(drive.follower.count("GET"), 2u);
}

TEST(FilePack, without_shared_grants_every_file_travels_alone) {
  Drive drive;
  drive.primary.share_grants = false;
  for (uint64_t i = 0; i < 3; ++i) {
    const fs::Attr attr = drive.primary.create();
    const auto file = drive.open(attr);
    ASSERT_TRUE(write(*file, 0, some_bytes(100, i)).ok());
    ASSERT_TRUE(flush(*file, true).ok());
    EXPECT_EQ(drive.primary.content(attr.ino), some_bytes(100, i));
  }
  EXPECT_EQ(drive.follower.count("PUT"), 3u);
}

TEST(FilePack, a_failed_pack_leaves_all_its_files_dirty_and_whole) {
  Drive drive({.io = {.timeout = std::chrono::milliseconds(300)}});
  const fs::Attr attr = drive.primary.create();
  const auto file = drive.open(attr);
  ASSERT_TRUE(write(*file, 0, "unsent").ok());
  drive.primary.set_hook([](const fs::Operation& operation) -> std::optional<Error> {
    if (!std::holds_alternative<fs::Grant>(operation)) return std::nullopt;
    return Error{Errc::no_space, "full"};
  });
  EXPECT_TRUE(flush(*file).failed_with(Errc::no_space));
  EXPECT_TRUE(file->dirty());
  EXPECT_EQ(read(*file, 0, 10).value(), "unsent");
  drive.primary.set_hook({});
  EXPECT_TRUE(in_some_tries([&] { return flush(*file); }));
  EXPECT_EQ(drive.primary.content(attr.ino), "unsent");
}

TEST(FileAttributes, what_is_set_while_data_is_unsent_travels_with_it) {
  Drive drive;
  const fs::Attr attr = drive.primary.create();
  const auto file = drive.open(attr);
  fs::SetAttr change = change_of(attr);
  change.mode = 0600;
  EXPECT_FALSE(file->defer(change));  // nothing to travel with
  ASSERT_TRUE(write(*file, 0, "data").ok());
  EXPECT_TRUE(file->defer(change));
  fs::SetAttr times = change_of(attr);
  times.mtime = 1234;
  EXPECT_TRUE(file->defer(times));
  EXPECT_EQ(file->overlay(attr).mode, 0600u);
  EXPECT_EQ(file->overlay(attr).mtime, 1234);
  EXPECT_EQ(drive.primary.count("setattr"), 0u);
  ASSERT_TRUE(flush(*file, true).ok());
  EXPECT_EQ(drive.primary.count("setattr"), 1u);
  EXPECT_EQ(drive.primary.attr(attr.ino).mode, 0600u);
  EXPECT_EQ(drive.primary.attr(attr.ino).mtime, 1234);
  EXPECT_FALSE(file->dirty());
}

TEST(FileAttributes, a_later_write_moves_the_time_on) {
  Drive drive;
  const fs::Attr attr = drive.primary.create();
  const auto file = drive.open(attr);
  ASSERT_TRUE(write(*file, 0, "data").ok());
  fs::SetAttr times = change_of(attr);
  times.mtime = 1234;
  EXPECT_TRUE(file->defer(times));
  ASSERT_TRUE(write(*file, 4, "more").ok());
  ASSERT_TRUE(flush(*file).ok());
  EXPECT_GT(drive.primary.attr(attr.ino).mtime, 1234);
}

TEST(FileAttributes, they_leave_soon_when_nobody_flushes) {
  Drive drive;
  const fs::Attr attr = drive.primary.create();
  const auto file = drive.open(attr);
  ASSERT_TRUE(write(*file, 0, "data").ok());
  std::promise<void> sent;
  drive.primary.set_hook([&](const fs::Operation& operation) -> std::optional<Error> {
    if (std::holds_alternative<fs::SetAttr>(operation)) sent.set_value();
    return std::nullopt;
  });
  fs::SetAttr change = change_of(attr);
  change.mode = 0640;
  EXPECT_TRUE(file->defer(change));
  sent.get_future().wait();
  EXPECT_EQ(drive.primary.count("commit"), 0u);
}

TEST(FileAttributes, a_lost_connection_keeps_them) {
  Drive drive;
  const fs::Attr attr = drive.primary.create();
  const auto file = drive.open(attr);
  ASSERT_TRUE(write(*file, 0, "data").ok());
  fs::SetAttr change = change_of(attr);
  change.mode = 0640;
  EXPECT_TRUE(file->defer(change));
  std::atomic<bool> away = true;
  drive.primary.set_hook([&](const fs::Operation& operation) -> std::optional<Error> {
    if (!away || std::holds_alternative<fs::Grant>(operation)) return std::nullopt;
    return Error{Errc::unavailable, "away"};
  });
  EXPECT_TRUE(flush(*file).failed_with(Errc::unavailable));
  EXPECT_EQ(file->overlay(attr).mode, 0640u);
  away = false;
  ASSERT_TRUE(flush(*file).ok());
  EXPECT_EQ(drive.primary.attr(attr.ino).mode, 0640u);
}

}  // namespace
}  // namespace aster::testing
