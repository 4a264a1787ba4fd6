#include "cache/writeback_journal.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <thread>

#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace aster {
namespace {

class WritebackJournalTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(open().ok()); }
  Result<void> open(std::string identity = "drive me", uint64_t limit = 1 << 20) {
    journal.reset();
    Result<std::unique_ptr<WritebackJournal>> opened =
        WritebackJournal::open({dir / "j", limit, std::move(identity)}, executor);
    if (!opened.ok()) return opened.error();
    journal = std::move(*opened);
    return ok();
  }
  static JournaledWrite write_of(uint64_t ino, uint64_t offset, const std::string& text) {
    JournaledWrite write;
    write.ino = InodeNo(ino);
    write.base = 7;
    write.parent = InodeNo(1);
    write.name = std::string("n\xff\n", 3);
    write.mtime = -5;
    write.attributes = "{}";
    write.pieces.push_back({offset, Bytes::from_string(text)});
    return write;
  }
  Result<uint64_t> append(JournaledWrite write) {
    return run_blocking(journal->append(std::move(write)));
  }
  RecoveredWrites load(uint64_t ino) {
    Result<RecoveredWrites> loaded = journal->load(InodeNo(ino));
    EXPECT_TRUE(loaded.ok());
    return std::move(*loaded);
  }

  std::vector<JournaledWrite::Piece> data(const JournaledWrite& write) {
    EXPECT_TRUE(write.pieces.empty()) << "data stays on disk until it is asked for";
    Result<std::vector<JournaledWrite::Piece>> pieces = journal->data(write.number);
    EXPECT_TRUE(pieces.ok());
    return std::move(*pieces);
  }
  std::string text(const JournaledWrite& write) {
    return std::string(as_text(data(write).at(0).data.view()));
  }

  testing::TempDir dir;
  Executor executor{{.name = "test", .threads = 2}};
  std::unique_ptr<WritebackJournal> journal;
};

TEST_F(WritebackJournalTest, KeepsWritesInOrderAcrossOpens) {
  const uint64_t first = *append(write_of(5, 0, "one"));
  const uint64_t second = *append(write_of(5, 1, "two"));
  ASSERT_TRUE(append(write_of(6, 9, "other")).ok());
  EXPECT_LT(first, second);
  ASSERT_TRUE(open().ok());
  EXPECT_EQ(journal->files(), (std::vector<InodeNo>{InodeNo(5), InodeNo(6)}));
  const RecoveredWrites file = load(5);
  ASSERT_EQ(file.writes.size(), 2u);
  EXPECT_EQ(file.expected_version, 7u);
  EXPECT_EQ(file.writes[0].number, first);
  EXPECT_EQ(text(file.writes[0]), "one");
  EXPECT_EQ(text(file.writes[1]), "two");
  EXPECT_EQ(data(file.writes[1]).at(0).offset, 1u);
  EXPECT_EQ(file.writes[1].name, std::string("n\xff\n", 3));
  EXPECT_EQ(file.writes[1].mtime, -5);
  EXPECT_EQ(file.writes[1].attributes, "{}");
  EXPECT_GT(*append(write_of(5, 0, "three")), second);
}

TEST_F(WritebackJournalTest, KnowsWhatWasRetiredBeforeItIsWritten) {
  const uint64_t first = *append(write_of(5, 0, "one"));
  ASSERT_TRUE(append(write_of(5, 1, "two")).ok());
  ASSERT_TRUE(run_blocking(journal->note_sent(InodeNo(5), first, "request")).ok());
  journal->retire(InodeNo(5), first, 12);
  const RecoveredWrites file = load(5);
  EXPECT_EQ(file.expected_version, 12u);
  EXPECT_FALSE(file.sent.has_value());
  EXPECT_EQ(file.writes.size(), 1u);
}

TEST_F(WritebackJournalTest, KeepsNamesInOrderUntilTheyAreRetired) {
  const uint64_t first = *journal->note_name(InodeNo(8), "first");
  const uint64_t second = *journal->note_name(InodeNo(9), "second");
  ASSERT_TRUE(journal->note_name(InodeNo(8), "third").ok());
  ASSERT_TRUE(run_blocking(journal->sync()).ok());
  journal->replace_name(second, InodeNo(9), "another");
  journal->retire_name(first);
  ASSERT_TRUE(run_blocking(journal->sync()).ok());
  ASSERT_TRUE(append(write_of(5, 0, "data")).ok());  // makes durable what came before it
  EXPECT_TRUE(journal->holds_name(InodeNo(8)));
  EXPECT_EQ(journal->stats().names, 2u);
  ASSERT_TRUE(open().ok());
  const auto names = journal->names();
  ASSERT_TRUE(names.ok());
  ASSERT_EQ(names->size(), 2u);
  EXPECT_EQ((*names)[0].number, second);
  EXPECT_EQ((*names)[0].ino, InodeNo(9));
  EXPECT_EQ((*names)[0].text, "another");
  EXPECT_EQ((*names)[1].text, "third");
  EXPECT_TRUE(open("drive of another user").failed_with(Errc::precondition_failed));
  ASSERT_TRUE(open().ok());
  for (const auto& name : *names) journal->retire_name(name.number);
  EXPECT_FALSE(journal->holds_name(InodeNo(8)));
  EXPECT_EQ(journal->stats().names, 0u);
}

TEST_F(WritebackJournalTest, AFullOneTakesNoNames) {
  ASSERT_TRUE(open("drive me", 2000).ok());
  EXPECT_TRUE(journal->note_name(InodeNo(8), std::string(1000, 'n')).ok());
  EXPECT_TRUE(journal->note_name(InodeNo(9), std::string(1000, 'n')).failed_with(Errc::no_space));
  EXPECT_FALSE(journal->holds_name(InodeNo(9)));
}

TEST_F(WritebackJournalTest, RetiresWhatACommitCoversAndKnowsItsVersion) {
  const uint64_t first = *append(write_of(5, 0, "one"));
  ASSERT_TRUE(append(write_of(5, 1, "two")).ok());
  ASSERT_TRUE(run_blocking(journal->note_sent(InodeNo(5), first, "request")).ok());
  ASSERT_TRUE(open().ok());
  ASSERT_TRUE(load(5).sent.has_value());
  EXPECT_EQ(load(5).sent->covers, first);
  EXPECT_EQ(load(5).sent->request, "request");
  journal->retire(InodeNo(5), first, 12);
  ASSERT_TRUE(open().ok());
  EXPECT_FALSE(load(5).sent.has_value());
  ASSERT_EQ(load(5).writes.size(), 1u);
  EXPECT_EQ(load(5).expected_version, 12u);
  journal->retire(InodeNo(5), UINT64_MAX, 13);
  EXPECT_FALSE(journal->holds(InodeNo(5)));
  EXPECT_EQ(journal->stats().bytes, 0u);
  ASSERT_TRUE(open().ok());
  EXPECT_TRUE(journal->files().empty());
  EXPECT_EQ(load(5).expected_version, 0u);
}

TEST_F(WritebackJournalTest, IsBoundedAndTakesAgainAfterRoomWasMade) {
  ASSERT_TRUE(append(write_of(5, 0, std::string(900 << 10, 'x'))).ok());
  EXPECT_TRUE(append(write_of(6, 0, std::string(200 << 10, 'x'))).failed_with(Errc::no_space));
  EXPECT_FALSE(journal->holds(InodeNo(6)));
  journal->retire(InodeNo(5), UINT64_MAX, 1);
  EXPECT_TRUE(append(write_of(6, 0, std::string(200 << 10, 'x'))).ok());
}

TEST_F(WritebackJournalTest, RefusesAnotherDriveOnlyWhileItHoldsSomething) {
  ASSERT_TRUE(append(write_of(5, 0, "one")).ok());
  const Result<void> other = open("drive you");
  ASSERT_TRUE(other.failed_with(Errc::precondition_failed));
  EXPECT_NE(other.error().context.find("another drive"), std::string::npos);
  ASSERT_TRUE(open().ok());
  journal->drop(InodeNo(5));
  EXPECT_TRUE(open("drive you").ok());
}

TEST_F(WritebackJournalTest, TwoCannotHaveItOpen) {
  const auto second = WritebackJournal::open({dir / "j", 1 << 20, "drive me"}, executor);
  ASSERT_TRUE(second.failed_with(Errc::locked));
  EXPECT_NE(second.error().context.find((dir / "j").string()), std::string::npos);
}

TEST_F(WritebackJournalTest, HandsWritesOverToACopy) {
  ASSERT_TRUE(append(write_of(5, 0, "one")).ok());
  ASSERT_TRUE(run_blocking(journal->note_sent(InodeNo(5), 1, "request")).ok());
  ASSERT_TRUE(run_blocking(journal->hand_over(InodeNo(5), InodeNo(77), 3)).ok());
  ASSERT_TRUE(open().ok());
  EXPECT_EQ(journal->files(), std::vector<InodeNo>{InodeNo(77)});
  EXPECT_EQ(load(77).expected_version, 3u);
  EXPECT_FALSE(load(77).sent.has_value());
  EXPECT_EQ(text(load(77).writes[0]), "one");
}

TEST_F(WritebackJournalTest, DataOfWhatWasRetiredIsAnError) {
  const uint64_t number = *append(write_of(5, 0, "one"));
  journal->retire(InodeNo(5), number, 8);
  ASSERT_TRUE(open().ok());
  EXPECT_TRUE(journal->data(number).failed_with(Errc::corrupt));
}

TEST_F(WritebackJournalTest, ManyAtOnceAreAllThere) {
  std::vector<std::jthread> writers;
  for (uint64_t ino = 1; ino <= 8; ++ino) {
    writers.emplace_back([this, ino] {
      for (int i = 0; i < 20; ++i) EXPECT_TRUE(append(write_of(ino, i, "x")).ok());
    });
  }
  writers.clear();
  ASSERT_TRUE(open().ok());
  for (uint64_t ino = 1; ino <= 8; ++ino) EXPECT_EQ(load(ino).writes.size(), 20u);
}

/// Runs in a process of its own: appends and says what was promised until it is killed.
TEST(WritebackJournalChild, AppendsForEver) {
  const char* place = std::getenv("ASTER_JOURNAL_CHILD");
  if (place == nullptr) GTEST_SKIP() << "only as a child of WhatWasPromisedSurvivesAKill";
  Executor executor{{.name = "child", .threads = 1}};
  auto opened = WritebackJournal::open({place, 64 << 20, "drive me"}, executor);
  ASSERT_TRUE(opened.ok());
  for (uint64_t i = 0;; ++i) {
    JournaledWrite write;
    write.ino = InodeNo(9);
    write.pieces.push_back({i, Bytes::from_string(std::string(3000, 'k'))});
    ASSERT_TRUE(run_blocking((*opened)->append(std::move(write))).ok());
    const std::string line = "promised " + std::to_string(i) + ";\n";
    ASSERT_EQ(::write(STDOUT_FILENO, line.data(), line.size()), static_cast<ssize_t>(line.size()));
  }
}

TEST_F(WritebackJournalTest, WhatWasPromisedSurvivesAKill) {
  for (int round = 0; round < 5; ++round) {
    journal.reset();
    const std::string output = dir / ("child-" + std::to_string(round));
    auto child = testing::Process::spawn(
        {.argv = {"/proc/self/exe", "--gtest_filter=WritebackJournalChild.*"},
         .env = {{"ASTER_JOURNAL_CHILD", dir / "j"}},
         .output = output});
    ASSERT_TRUE(child.ok());
    const uint64_t at_least = 10 + 17 * static_cast<uint64_t>(round);
    const std::string sign = "promised " + std::to_string(at_least) + ";";
    ASSERT_TRUE(child->wait_for_output(sign).ok());
    child->kill();
    std::ifstream lines(output);
    uint64_t promised = 0;
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("promised ")) promised = std::stoull(line.substr(9));
    }
    ASSERT_GE(promised, at_least);
    ASSERT_TRUE(open("drive me", 64 << 20).ok());
    const RecoveredWrites file = load(9);
    EXPECT_GT(file.writes.size(), promised);
    uint64_t offset = 0;
    for (const JournaledWrite& write : file.writes) {
      const std::vector<JournaledWrite::Piece> pieces = data(write);
      EXPECT_EQ(pieces.at(0).offset, offset++);
      EXPECT_EQ(pieces[0].data.size(), 3000u);
    }
    journal->drop(InodeNo(9));
  }
}

}  // namespace
}  // namespace aster
