#include "fuse/vfs/local_names.h"

#include <gtest/gtest.h>

#include "tests/support/fake_primary.h"
#include "tests/support/temp_dir.h"

namespace aster::testing {
namespace {

constexpr std::chrono::milliseconds kSendPatience{20000};

/// crash() forgets all memory, as kill -9 would: only the journal and the primary are left.
class LocalNamesTest : public ::testing::Test {
 protected:
  LocalNamesTest() { start(true); }

  void start(bool take_new) {
    names.reset();
    journal.reset();
    auto opened = WritebackJournal::open({dir / "j", 1 << 30, "test"}, executor);
    EXPECT_TRUE(opened.ok());
    journal = std::move(*opened);
    names = std::make_unique<LocalNames>(
        LocalNamesOptions{"host", primary.root(), std::chrono::milliseconds(500), take_new},
        primary, journal.get(), executor, clock);
    const Result<size_t> prepared = run_blocking(names->prepare());
    ASSERT_TRUE(prepared.ok()) << prepared.error().message();
    sent_at_start = *prepared;
  }

  template <class A>
  Result<A> call(fs::Operation operation) {
    return run_blocking(names->call<A>(std::move(operation), std::chrono::seconds(1)));
  }
  Result<fs::Attr> make(InodeNo parent, const std::string& name,
                        fs::FileType type = fs::FileType::regular) {
    fs::Create create;
    create.parent = parent;
    create.name = name;
    create.type = type;
    create.mode = 0644;
    return call<fs::Attr>(create);
  }
  InodeNo directory(const std::string& name) {
    return make(primary.root(), name, fs::FileType::directory).value().ino;
  }
  Result<void> settle() { return run_blocking(names->settle(kSendPatience)); }
  Result<fs::Attr> at_primary(InodeNo parent, const std::string& name) {
    Result<fs::Answer> answer = primary.as_other(fs::Lookup{parent, name});
    if (!answer.ok()) return answer.error();
    return std::get<fs::Attr>(*answer);
  }

  TempDir dir;
  Executor executor{{.name = "names-test", .threads = 2}};
  SystemClock clock;
  FakePrimary primary;
  std::unique_ptr<WritebackJournal> journal;
  std::unique_ptr<LocalNames> names;
  size_t sent_at_start = 0;
};

TEST_F(LocalNamesTest, AnOwnDirectoryIsFilledWhileThePrimaryIsAway) {
  const InodeNo parent = directory("d");
  primary.set_away(true);
  const Result<fs::Attr> file = make(parent, "f");
  ASSERT_TRUE(file.ok()) << file.error().message();
  const Result<fs::Attr> below = make(parent, "sub", fs::FileType::directory);
  ASSERT_TRUE(below.ok());
  ASSERT_TRUE(make(below->ino, "g").ok());
  EXPECT_EQ(call<fs::Attr>(fs::Lookup{parent, "f"})->ino, file->ino);
  EXPECT_TRUE(call<fs::Attr>(fs::Lookup{parent, "other"}).failed_with(Errc::not_found));
  EXPECT_TRUE(make(parent, "f").failed_with(Errc::exists));
  fs::SetAttr change{.ino = file->ino};
  change.mode = 0600;
  EXPECT_EQ(call<fs::Attr>(change)->mode, 0600u);
  EXPECT_EQ(call<fs::Attr>(fs::GetAttr{file->ino})->mode, 0600u);
  primary.set_away(false);
  ASSERT_TRUE(settle().ok());
  EXPECT_EQ(at_primary(parent, "f")->ino, file->ino) << "the number stays";
  EXPECT_EQ(at_primary(parent, "f")->mode, 0600u);
  EXPECT_TRUE(at_primary(below->ino, "g").ok());
}

TEST_F(LocalNamesTest, ManyNamesTravelInFewRequests) {
  const InodeNo parent = directory("d");
  const size_t before = primary.round_trips();
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(make(parent, "f" + std::to_string(i)).ok());
  ASSERT_TRUE(settle().ok());
  EXPECT_TRUE(at_primary(parent, "f999").ok());
  EXPECT_LT(primary.round_trips() - before, 1000u / 2);
}

TEST_F(LocalNamesTest, WhatNeedsThePrimaryWaitsUntilItKnowsTheInode) {
  const InodeNo parent = directory("d");
  const InodeNo file = make(parent, "f")->ino;
  fs::SetXattr xattr;
  xattr.ino = file;
  xattr.name = "user.a";
  xattr.value = "b";
  EXPECT_TRUE(call<fs::Empty>(xattr).ok());
  ASSERT_TRUE(make(parent, "g").ok());
  const auto page = call<fs::DirPage>(fs::ReadDir{parent, 0, 100});
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->entries.size(), 2u);
  EXPECT_TRUE(call<fs::Removed>(fs::Unlink{parent, "g", false}).ok());
  EXPECT_TRUE(call<fs::Attr>(fs::Lookup{parent, "g"}).failed_with(Errc::not_found));
  EXPECT_TRUE(make(parent, "g").ok()) << "free again";
}

TEST_F(LocalNamesTest, ACrashLosesNoNameThatWasSynchronised) {
  const InodeNo parent = directory("d");
  primary.set_away(true);
  const InodeNo below = make(parent, "sub", fs::FileType::directory)->ino;
  const InodeNo file = make(below, "f")->ino;
  ASSERT_TRUE(run_blocking(journal->sync()).ok());
  names->stop();
  primary.set_away(false);
  start(true);
  EXPECT_EQ(sent_at_start, 2u);
  EXPECT_EQ(at_primary(parent, "sub")->ino, below);
  EXPECT_EQ(at_primary(below, "f")->ino, file);
  start(true);
  EXPECT_EQ(sent_at_start, 0u);
}

TEST_F(LocalNamesTest, AnAnswerThatWasLostIsNotDoneTwice) {
  const InodeNo parent = directory("d");
  primary.stall();
  const InodeNo file = make(parent, "f")->ino;
  names->stop();
  // The request arrives; the mount dies before the answer does.
  primary.resume();
  names.reset();
  start(true);
  EXPECT_EQ(at_primary(parent, "f")->ino, file);
}

TEST_F(LocalNamesTest, ANameThatSomebodyElseTookStaysTheirs) {
  const InodeNo parent = directory("d");
  primary.set_away(true);
  const InodeNo mine = make(parent, "report.txt")->ino;
  const InodeNo folder = make(parent, "folder", fs::FileType::directory)->ino;
  const InodeNo inside = make(folder, "inside")->ino;
  fs::Create theirs;
  theirs.parent = parent;
  theirs.name = "report.txt";
  ASSERT_TRUE(primary.as_other(theirs).ok());
  primary.set_away(false);
  ASSERT_TRUE(settle().ok());
  EXPECT_NE(at_primary(parent, "report.txt")->ino, mine);
  EXPECT_EQ(at_primary(folder, "inside")->ino, inside);
  const auto page = call<fs::DirPage>(fs::ReadDir{parent, 0, 100});
  ASSERT_TRUE(page.ok());
  size_t copies = 0;
  for (const fs::DirEntry& entry : page->entries) {
    if (!entry.name.starts_with("report.conflict-host-")) continue;
    ++copies;
    EXPECT_EQ(entry.attr.ino, mine);
    EXPECT_TRUE(entry.name.ends_with(".txt"));
  }
  EXPECT_EQ(copies, 1u);
}

TEST_F(LocalNamesTest, NamesInDirectoriesOfOthersAreMadeAtThePrimary) {
  EXPECT_TRUE(make(primary.root(), "f").ok());
  EXPECT_TRUE(at_primary(primary.root(), "f").ok()) << "already, without waiting";
  primary.set_away(true);
  EXPECT_TRUE(make(primary.root(), "g").failed_with(Errc::unavailable));
}

TEST_F(LocalNamesTest, ADirectoryThatSomebodyElseChangedIsNoLongerOurs) {
  const InodeNo parent = directory("d");
  fs::Create theirs;
  theirs.parent = parent;
  theirs.name = "theirs";
  ASSERT_TRUE(primary.as_other(theirs).ok());
  fs::Invalidation event;
  event.entries.push_back({parent, "theirs"});
  names->on_event(event);
  EXPECT_TRUE(call<fs::Attr>(fs::Lookup{parent, "theirs"}).ok());
  EXPECT_TRUE(make(parent, "theirs").failed_with(Errc::exists));
}

TEST_F(LocalNamesTest, BelowAPolicyOfItsOwnNamesAreMadeAtThePrimary) {
  const InodeNo parent = directory("d");
  const InodeNo below = make(parent, "sub", fs::FileType::directory)->ino;
  ASSERT_TRUE(make(below, "before").ok());
  ASSERT_TRUE(call<fs::Empty>(fs::SetXattr{parent, "user.aster.policy", "large"}).ok());
  for (const InodeNo place : {parent, below}) {
    EXPECT_TRUE(make(place, "f").ok());
    EXPECT_TRUE(at_primary(place, "f").ok()) << "already, without waiting";
  }
  EXPECT_TRUE(at_primary(below, "before").ok());
}

TEST_F(LocalNamesTest, AFullJournalMakesNamesAtThePrimary) {
  const InodeNo parent = directory("d");
  names.reset();
  journal.reset();
  auto opened = WritebackJournal::open({dir / "j2", 1, "test"}, executor);
  ASSERT_TRUE(opened.ok());
  journal = std::move(*opened);
  names = std::make_unique<LocalNames>(
      LocalNamesOptions{"host", primary.root(), std::chrono::milliseconds(500), true}, primary,
      journal.get(), executor, clock);
  ASSERT_TRUE(run_blocking(names->prepare()).ok());
  const InodeNo own = make(parent, "own", fs::FileType::directory)->ino;
  ASSERT_TRUE(make(own, "f").ok());
  EXPECT_TRUE(at_primary(own, "f").ok());
}

}  // namespace
}  // namespace aster::testing
