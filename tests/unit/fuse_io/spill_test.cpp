#include <gtest/gtest.h>

#include <fstream>

#include "cache/writeback_journal.h"
#include "drive.h"
#include "tests/support/temp_dir.h"

namespace aster::testing {
namespace {

constexpr uint64_t kBudget = 2 * kMiB;

class Spill : public ::testing::Test {
 protected:
  DriveOptions with_disk(uint64_t limit = 256 * kMiB) {
    DriveOptions options;
    options.io.dirty_limit = kBudget;
    options.io.parallel_uploads = 2;
    options.io.spill_dir = dir / "journal";
    options.io.spill_limit = limit;
    return options;
  }
  static uint64_t in_memory(const Drive& drive) {
    const FileIoStats stats = drive.io->stats();
    return stats.dirty_bytes - stats.spilled_bytes;
  }

  TempDir dir;
};

TEST_F(Spill, writes_go_on_while_no_server_answers) {
  Drive drive(with_disk());
  const fs::Attr attr = drive.primary.create();
  const auto file = drive.open(attr);
  const std::string content = some_bytes(8 * kBudget);
  drive.follower.hold("PUT");
  for (uint64_t at = 0; at < content.size(); at += kBlockSize) {
    ASSERT_TRUE(write(*file, at, content.substr(at, kBlockSize)).ok());
    ASSERT_LE(in_memory(drive), kBudget);
  }
  EXPECT_GE(drive.io->stats().spilled_bytes, 6 * kBudget);
  EXPECT_EQ(read(*file, 0, content.size()).value(), content);
  EXPECT_EQ(read(*file, 12'345, 6789).value(), content.substr(12'345, 6789));
  drive.follower.release();
  ASSERT_TRUE(flush(*file, true).ok());
  EXPECT_EQ(drive.primary.content(attr.ino), content);
  EXPECT_EQ(drive.io->stats().spilled_bytes, 0u);
}

TEST_F(Spill, writes_in_small_pieces_all_over_several_files_come_out_right) {
  Drive drive(with_disk());
  std::mt19937_64 random(test_seed());
  std::vector<fs::Attr> attrs;
  std::vector<std::shared_ptr<FileContent>> files;
  std::vector<std::string> expected(5, std::string(4 * kMiB, '\0'));
  for (size_t i = 0; i < expected.size(); ++i) {
    attrs.push_back(drive.primary.create());
    files.push_back(drive.open(attrs.back()));
  }
  drive.follower.hold("PUT");
  for (int i = 0; i < 4000; ++i) {
    const size_t which = random() % files.size();
    const uint64_t at = random() % (expected[which].size() - 4096);
    const std::string bytes = random_bytes(random, 1 + random() % 4096);
    ASSERT_TRUE(write(*files[which], at, bytes).ok());
    expected[which].replace(at, bytes.size(), bytes);
  }
  EXPECT_GT(drive.io->stats().spilled_bytes, 0u);
  for (size_t i = 0; i < files.size(); ++i) {
    const Result<std::string> got = read(*files[i], 0, expected[i].size());
    ASSERT_TRUE(got.ok());
    expected[i].resize(got->size());  // up to the last byte written
    EXPECT_TRUE(*got == expected[i]) << i;
  }
  drive.follower.release();
  for (size_t i = 0; i < files.size(); ++i) {
    ASSERT_TRUE(flush(*files[i], true).ok());
    EXPECT_TRUE(drive.primary.content(attrs[i].ino) == expected[i]) << i;
  }
  EXPECT_EQ(drive.io->stats().dirty_bytes, 0u);
}

TEST_F(Spill, what_is_cut_off_or_overwritten_gives_its_place_back) {
  Drive drive(with_disk());
  const fs::Attr attr = drive.primary.create();
  const auto file = drive.open(attr);
  drive.follower.hold("PUT");
  std::string content = some_bytes(4 * kBudget);
  ASSERT_TRUE(write(*file, 0, content.substr(0, 2 * kBudget)).ok());
  ASSERT_TRUE(write(*file, 2 * kBudget, content.substr(2 * kBudget)).ok());
  const std::string newer = some_bytes(100'000, 7);
  ASSERT_TRUE(write(*file, kMiB - 5, newer).ok());
  content.replace(kMiB - 5, newer.size(), newer);
  drive.follower.release();
  ASSERT_TRUE(truncate(*file, attr.ino, 2 * kMiB + 1).ok());
  content.resize(2 * kMiB + 1);
  EXPECT_EQ(read(*file, 0, 8 * kBudget).value(), content);
  ASSERT_TRUE(flush(*file, true).ok());
  EXPECT_EQ(drive.primary.content(attr.ino), content);
  EXPECT_EQ(drive.io->stats().spilled_bytes, 0u);
}

TEST_F(Spill, at_its_bound_writers_wait_again_and_nothing_is_lost) {
  Drive drive(with_disk(2 * kMiB));
  const fs::Attr attr = drive.primary.create();
  const auto file = drive.open(attr);
  const std::string content = some_bytes(8 * kMiB);
  drive.follower.hold("PUT");
  auto writer = std::async(std::launch::async, [&] {
    for (uint64_t at = 0; at < content.size(); at += kBlockSize) {
      if (!write(*file, at, content.substr(at, kBlockSize)).ok()) return false;
      if (drive.io->stats().spilled_bytes > 2 * kMiB) return false;
      if (in_memory(drive) > kBudget) return false;
    }
    return true;
  });
  drive.follower.wait_until_held(1);
  // 4 MiB at most fit into memory and onto the disk: the rest waits for the follower.
  EXPECT_EQ(writer.wait_for(std::chrono::milliseconds(300)), std::future_status::timeout);
  drive.follower.release();
  ASSERT_TRUE(writer.get());
  ASSERT_TRUE(flush(*file, true).ok());
  EXPECT_EQ(drive.primary.content(attr.ino), content);
}

TEST_F(Spill, servers_that_refuse_the_data_are_not_papered_over) {
  DriveOptions options = with_disk();
  options.io.timeout = std::chrono::milliseconds(200);
  Drive drive(options);
  drive.follower.set_hook([](const FakeFollower::Exchange&) {
    return std::optional<Result<HttpClientResponse>>(FakeFollower::answer(507));
  });
  const auto file = drive.new_file();
  ASSERT_TRUE(write(*file, 0, std::string(kBudget, 'a')).ok());
  EXPECT_TRUE(flush(*file).failed_with(Errc::no_space));
  EXPECT_TRUE(write(*file, kBudget, std::string(kBudget, 'b')).failed_with(Errc::no_space));
  EXPECT_EQ(drive.io->stats().spilled_bytes, 0u);
}

TEST_F(Spill, disk_that_takes_nothing_is_as_if_there_were_none) {
  DriveOptions options = with_disk();
  std::ofstream(dir / "journal") << "not a folder";
  Drive drive(options);
  const fs::Attr attr = drive.primary.create();
  const auto file = drive.open(attr);
  const std::string content = some_bytes(4 * kBudget);
  for (uint64_t at = 0; at < content.size(); at += kBlockSize) {
    ASSERT_TRUE(write(*file, at, content.substr(at, kBlockSize)).ok());
  }
  ASSERT_TRUE(flush(*file, true).ok());
  EXPECT_EQ(drive.primary.content(attr.ino), content);
}

TEST_F(Spill, what_was_spilled_goes_into_the_journal_at_fsync) {
  Executor executor{{.name = "journal", .threads = 1}};
  auto journal = WritebackJournal::open({dir / "journal", 256 * kMiB, "me"}, executor);
  ASSERT_TRUE(journal.ok());
  DriveOptions options = with_disk();
  options.io.journal = journal->get();
  const std::string content = some_bytes(6 * kBudget);
  InodeNo ino;
  {
    Drive drive(options);
    const fs::Attr attr = drive.primary.create();
    ino = attr.ino;
    const auto file = drive.open(attr);
    drive.follower.hold("PUT");
    for (uint64_t at = 0; at < content.size(); at += kBlockSize) {
      ASSERT_TRUE(write(*file, at, content.substr(at, kBlockSize)).ok());
    }
    EXPECT_GT(drive.io->stats().spilled_bytes, 0u);
    ASSERT_TRUE(flush(*file).ok());
    drive.io->stop();
  }
  std::string kept(content.size(), '\0');
  const Result<RecoveredWrites> held = (*journal)->load(ino);
  ASSERT_TRUE(held.ok());
  for (const JournaledWrite& write : held->writes) {
    const auto pieces = (*journal)->data(write.number);
    ASSERT_TRUE(pieces.ok());
    for (const auto& piece : *pieces) {
      kept.replace(piece.offset, piece.data.size(), as_text(piece.data.view()));
    }
  }
  EXPECT_TRUE(kept == content);
}

}  // namespace
}  // namespace aster::testing
