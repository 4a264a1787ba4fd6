#include <gtest/gtest.h>

#include "cache/writeback_journal.h"
#include "drive.h"
#include "protocol/fs/json.h"
#include "tests/support/temp_dir.h"

namespace aster::testing {
namespace {

/// A drive with durability=local. crash() forgets all memory, as kill -9 would: only the journal
/// and the servers are left.
class JournaledDrive : public ::testing::Test {
 protected:
  JournaledDrive() { start(1 << 30); }
  ~JournaledDrive() override { io.reset(); }

  void start(uint64_t limit, uint64_t dirty_limit = FileIoOptions().dirty_limit) {
    io.reset();
    journal.reset();
    auto opened = WritebackJournal::open({dir / "j", limit, "test"}, executor);
    EXPECT_TRUE(opened.ok());
    journal = std::move(*opened);
    FileIoOptions options{.journal = journal.get(), .timeout = std::chrono::milliseconds(20000)};
    options.dirty_limit = dirty_limit;
    io = make_file_io(options, primary, follower, cache, executor);
  }
  void crash() { start(1 << 30); }
  /// What a new mount does with a file of the journal when nobody else changed it.
  std::shared_ptr<FileContent> recovered(InodeNo ino) {
    const auto file = io->content(primary.attr(ino));
    auto held = journal->load(ino);
    EXPECT_TRUE(held.ok());
    EXPECT_EQ(held->expected_version, primary.attr(ino).data_version);
    EXPECT_TRUE(
        run_blocking(file->recover(std::make_shared<const RecoveredWrites>(std::move(*held))))
            .ok());
    return file;
  }
  static Result<void> drain(FileContent& file) { return run_blocking(file.drain(false)); }

  TempDir dir;
  Executor executor{{.name = "io-test", .threads = 2}};
  FakeFollower follower{executor};
  FakePrimary primary{executor, follower};
  FakeCache cache{64 << 20};
  std::unique_ptr<WritebackJournal> journal;
  std::unique_ptr<FileIo> io;
};

TEST_F(JournaledDrive, FlushAsksNoServer) {
  const fs::Attr attr = primary.create();
  const auto file = io->content(attr);
  ASSERT_TRUE(write(*file, 0, "hello").ok());
  ASSERT_TRUE(flush(*file, true).ok());
  EXPECT_EQ(follower.count("PUT"), 0u);
  EXPECT_EQ(primary.count("commit"), 0u);
  EXPECT_TRUE(file->dirty());
  EXPECT_TRUE(journal->holds(attr.ino));
  ASSERT_TRUE(drain(*file).ok());
  EXPECT_EQ(primary.content(attr.ino), "hello");
  EXPECT_FALSE(file->dirty());
  EXPECT_FALSE(journal->holds(attr.ino));
}

TEST_F(JournaledDrive, ACrashLosesNothingThatWasFlushed) {
  const fs::Attr attr = primary.create();
  {
    const auto file = io->content(attr);
    ASSERT_TRUE(write(*file, 0, "aaaaaaaa").ok());
    ASSERT_TRUE(flush(*file).ok());
    ASSERT_TRUE(write(*file, 2, "bbb").ok());
    fs::SetAttr change{.ino = attr.ino};
    change.mode = 0600;
    change.mtime = 99;
    EXPECT_TRUE(file->defer(change));
    ASSERT_TRUE(flush(*file).ok());
    ASSERT_TRUE(write(*file, 0, "never flushed").ok());
  }
  crash();
  const auto file = recovered(attr.ino);
  EXPECT_EQ(read(*file, 0, 100).value(), "aabbbaaa");
  ASSERT_TRUE(flush(*file).ok());
  EXPECT_EQ(journal->load(attr.ino)->writes.size(), 2u) << "recovered data is not journaled again";
  ASSERT_TRUE(drain(*file).ok());
  EXPECT_EQ(primary.content(attr.ino), "aabbbaaa");
  EXPECT_EQ(primary.attr(attr.ino).mode, 0600u);
  EXPECT_EQ(primary.attr(attr.ino).mtime, 99);
  EXPECT_FALSE(journal->holds(attr.ino));
}

TEST_F(JournaledDrive, MoreThanMemoryIsRecoveredPieceByPiece) {
  constexpr uint64_t kPiece = 128 << 10;
  const fs::Attr attr = primary.create();
  std::string all;
  {
    const auto file = io->content(attr);
    for (char letter = 'a'; letter < 'i'; ++letter) {
      const std::string piece(kPiece, letter);
      ASSERT_TRUE(write(*file, all.size(), piece).ok());
      ASSERT_TRUE(flush(*file).ok());
      all += piece;
    }
  }
  start(1 << 30, 2 * kPiece);
  const auto file = recovered(attr.ino);
  EXPECT_LE(io->stats().dirty_bytes, 2 * kPiece);
  ASSERT_TRUE(drain(*file).ok());
  EXPECT_EQ(primary.content(attr.ino), all);
  EXPECT_FALSE(journal->holds(attr.ino));
}

TEST_F(JournaledDrive, AnAppliedCommitWhoseAnswerWasLostIsNotAppliedTwice) {
  const fs::Attr attr = primary.create();
  {
    const auto file = io->content(attr);
    ASSERT_TRUE(write(*file, 0, "once").ok());
    ASSERT_TRUE(flush(*file).ok());
    // The commit arrives, its answer does not: the journal keeps the request.
    std::optional<RecoveredWrites> before;
    primary.set_hook([&](const fs::Operation& operation) -> std::optional<Error> {
      if (std::holds_alternative<fs::Commit>(operation)) before = *journal->load(attr.ino);
      return std::nullopt;
    });
    ASSERT_TRUE(drain(*file).ok());
    ASSERT_TRUE(before && before->sent);
    EXPECT_EQ(before->sent->covers, before->writes.back().number);
    primary.set_hook({});
    const uint64_t version = primary.attr(attr.ino).data_version;
    // After the crash exactly this request is repeated.
    const auto request = fs::decode_batch_request(before->sent->request);
    ASSERT_TRUE(request.ok());
    const auto again = run_blocking(primary.batch(request->items, std::chrono::seconds(1)));
    ASSERT_TRUE(again.ok() && again->results.back().ok());
    EXPECT_EQ(primary.attr(attr.ino).data_version, version);
  }
  EXPECT_EQ(primary.content(attr.ino), "once");
}

TEST_F(JournaledDrive, AFailedDrainKeepsTheJournal) {
  const fs::Attr attr = primary.create();
  const auto file = io->content(attr);
  ASSERT_TRUE(write(*file, 0, "kept").ok());
  ASSERT_TRUE(flush(*file).ok());
  primary.set_hook([](const fs::Operation& operation) -> std::optional<Error> {
    if (!std::holds_alternative<fs::Commit>(operation)) return std::nullopt;
    return Error{Errc::unavailable, "away"};
  });
  EXPECT_FALSE(drain(*file).ok());
  EXPECT_TRUE(journal->holds(attr.ino));
  EXPECT_TRUE(journal->load(attr.ino)->sent.has_value()) << "it may have been applied";
  EXPECT_TRUE(flush(*file).ok()) << "fsync does not need the servers";
  primary.set_hook({});
  ASSERT_TRUE(drain(*file).ok());
  EXPECT_EQ(primary.content(attr.ino), "kept");
  EXPECT_FALSE(journal->holds(attr.ino));
}

TEST_F(JournaledDrive, AFullJournalMakesTheWriterWaitForTheServers) {
  start(64 << 10);
  const fs::Attr attr = primary.create();
  const auto file = io->content(attr);
  ASSERT_TRUE(write(*file, 0, some_bytes(100'000)).ok());
  ASSERT_TRUE(flush(*file).ok());
  EXPECT_EQ(primary.content(attr.ino), some_bytes(100'000));
  EXPECT_FALSE(journal->holds(attr.ino));
}

TEST_F(JournaledDrive, WhatIsTooLargeGoesStraightToTheServers) {
  const fs::Attr attr = primary.create();
  const auto file = io->content(attr);
  const std::string content = some_bytes(20 << 20);
  ASSERT_TRUE(write(*file, 0, content).ok());
  ASSERT_TRUE(flush(*file, true).ok());
  EXPECT_EQ(primary.content(attr.ino), content);
}

TEST_F(JournaledDrive, ATruncationComesAfterWhatWasJournaledBefore) {
  const fs::Attr attr = primary.create();
  {
    const auto file = io->content(attr);
    ASSERT_TRUE(write(*file, 0, "long content").ok());
    ASSERT_TRUE(flush(*file).ok());
    ASSERT_TRUE(truncate(*file, attr.ino, 4).ok());
  }
  crash();
  EXPECT_FALSE(journal->holds(attr.ino));
  EXPECT_EQ(primary.content(attr.ino), "long");
}

TEST_F(JournaledDrive, AWriteDuringADrainStaysInTheJournal) {
  const fs::Attr attr = primary.create();
  {
    const auto file = io->content(attr);
    ASSERT_TRUE(write(*file, 0, "aaaa").ok());
    ASSERT_TRUE(flush(*file).ok());
    follower.hold("PUT");
    auto drained = in_background(file->drain(false));
    follower.wait_until_held(1);
    ASSERT_TRUE(write(*file, 1, "bb").ok());
    ASSERT_TRUE(flush(*file).ok());
    follower.release();
    ASSERT_TRUE(drained.get().ok());
    EXPECT_EQ(primary.content(attr.ino), "aaaa");
  }
  crash();
  const auto file = recovered(attr.ino);
  EXPECT_EQ(read(*file, 0, 10).value(), "abba");
  ASSERT_TRUE(drain(*file).ok());
  EXPECT_EQ(primary.content(attr.ino), "abba");
}

}  // namespace
}  // namespace aster::testing
