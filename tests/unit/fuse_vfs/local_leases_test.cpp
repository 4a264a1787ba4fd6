#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "fuse/vfs/local_names.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_primary.h"
#include "tests/support/temp_dir.h"

namespace aster::testing {
namespace {

constexpr std::chrono::milliseconds kPatience{20000};
constexpr uint64_t kWriteLease = 5;

/// What is sent before a lease is given back.
class NotedContent final : public KeptContent {
 public:
  Task<void> send_content(std::vector<InodeNo> inodes) override {
    auto all = sent.lock();
    all->insert(all->end(), inodes.begin(), inodes.end());
    co_return;
  }
  void given_back(const std::vector<InodeNo>& inodes) override {
    auto all = given.lock();
    all->insert(all->end(), inodes.begin(), inodes.end());
  }
  Guarded<std::vector<InodeNo>> sent;
  Guarded<std::vector<InodeNo>> given;
};

/// Names under leases of a primary that grants them. Time stands still unless it is moved.
class LocalLeases : public ::testing::Test {
 protected:
  LocalLeases() {
    primary.set_lease(kWriteLease);
    start();
    dir = std::get<fs::Attr>(*primary.as_other(create_of(primary.root(), "d", true))).ino;
    old = std::get<fs::Attr>(*primary.as_other(create_of(dir, "old", false))).ino;
  }
  ~LocalLeases() override {
    if (names) names->close();
  }
  void start(bool journaled = true) {
    if (names) names->close();
    names.reset();
    journal.reset();
    if (journaled) {
      auto opened = WritebackJournal::open({temp / "j", 1 << 30, "test"}, executor);
      EXPECT_TRUE(opened.ok());
      journal = std::move(*opened);
    }
    names = std::make_unique<LocalNames>(
        LocalNamesOptions{"host", primary.root(), std::chrono::milliseconds(2000), true, true},
        primary, journal.get(), executor, clock);
    names->serve(content, primary);
    ASSERT_TRUE(run_blocking(names->prepare()).ok());
    names->on_state(true);
    names->on_lease(kWriteLease);
    renew();
  }
  void renew() {
    ASSERT_TRUE(
        run_blocking(names->acknowledge({SessionId(), kWriteLease, "", {}}, kPatience)).ok());
  }
  static fs::Create create_of(InodeNo parent, const std::string& name, bool directory) {
    fs::Create create;
    create.parent = parent;
    create.name = name;
    create.type = directory ? fs::FileType::directory : fs::FileType::regular;
    create.mode = directory ? 0755 : 0644;
    return create;
  }
  template <class A>
  Result<A> call(fs::Operation operation) {
    return run_blocking(names->call<A>(std::move(operation), kPatience));
  }
  Result<fs::Attr> make(InodeNo parent, const std::string& name, bool directory = false) {
    return call<fs::Attr>(create_of(parent, name, directory));
  }
  /// Two names within a moment: the second is worth a lease.
  void take_dir() {
    ASSERT_TRUE(make(dir, "first").ok());
    ASSERT_TRUE(make(dir, "second").ok());
    ASSERT_GT(names->lease_state().writes, 0u);
    ASSERT_TRUE(settle().ok());
  }
  Result<void> settle() { return run_blocking(names->settle(kPatience)); }
  Result<fs::Attr> at_primary(InodeNo parent, const std::string& name) {
    Result<fs::Answer> answer = primary.as_other(fs::Lookup{parent, name});
    if (!answer.ok()) return answer.error();
    return std::get<fs::Attr>(*answer);
  }
  bool was_given(InodeNo ino) {
    for (const fs::LeaseRequest& request : primary.lease_requests()) {
      if (std::find(request.give.begin(), request.give.end(), ino) != request.give.end()) {
        return true;
      }
    }
    return false;
  }
  void wait_until_given(InodeNo ino) {
    while (!was_given(ino)) std::this_thread::yield();
  }

  TempDir temp;
  Executor executor{{.name = "names-test", .threads = 2}};
  FakeClock clock;
  FakePrimary primary;
  NotedContent content;
  std::unique_ptr<WritebackJournal> journal;
  std::unique_ptr<LocalNames> names;
  InodeNo dir;
  InodeNo old;
};

TEST_F(LocalLeases, a_directory_of_somebody_else_is_leased_at_the_second_name) {
  ASSERT_TRUE(make(dir, "first").ok());
  EXPECT_TRUE(primary.lease_requests().empty());
  ASSERT_TRUE(make(dir, "second").ok());
  ASSERT_EQ(primary.lease_requests().size(), 1u);
  EXPECT_EQ(primary.lease_requests()[0].lease, kWriteLease);
  primary.stall();
  ASSERT_TRUE(make(dir, "third").ok()) << "made here";
  EXPECT_TRUE(make(dir, "old").failed_with(Errc::exists));
  EXPECT_TRUE(call<fs::Attr>(fs::Lookup{dir, "nothing"}).failed_with(Errc::not_found));
  EXPECT_EQ(call<fs::Attr>(fs::Lookup{dir, "old"})->ino, old);
  primary.resume();
  ASSERT_TRUE(settle().ok());
  EXPECT_TRUE(at_primary(dir, "third").ok());
}

TEST_F(LocalLeases, two_hundred_names_travel_in_few_requests) {
  const size_t before = primary.round_trips();
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(make(dir, "f" + std::to_string(i)).ok());
  ASSERT_TRUE(settle().ok());
  EXPECT_TRUE(at_primary(dir, "f199").ok());
  EXPECT_LT(primary.round_trips() - before, 100u);
  EXPECT_EQ(primary.lease_requests().size(), 1u);
}

TEST_F(LocalLeases, every_change_of_names_is_made_here_and_sent_in_order) {
  take_dir();
  primary.stall();
  const InodeNo file = make(dir, "a")->ino;
  const auto link = call<fs::Attr>(fs::Link{file, dir, "b"});
  ASSERT_TRUE(link.ok());
  EXPECT_EQ(link->nlink, 2u);
  ASSERT_TRUE(call<fs::Removed>(fs::Unlink{dir, "a"}).ok());
  ASSERT_TRUE(call<fs::Renamed>(fs::Rename{dir, "b", dir, "c"}).ok());
  ASSERT_TRUE(call<fs::Renamed>(fs::Rename{dir, "c", dir, "old"}).ok()) << "replaces";
  ASSERT_TRUE(make(dir, "sub", true).ok());
  ASSERT_TRUE(call<fs::Removed>(fs::Rmdir{dir, "sub"}).ok());
  fs::SetAttr mode{.ino = file};
  mode.mode = 0600;
  ASSERT_TRUE(call<fs::Attr>(mode).ok());
  EXPECT_TRUE(call<fs::Attr>(fs::Lookup{dir, "a"}).failed_with(Errc::not_found));
  EXPECT_EQ(call<fs::Attr>(fs::Lookup{dir, "old"})->ino, file);
  EXPECT_EQ(call<fs::Attr>(fs::GetAttr{file})->nlink, 1u);
  EXPECT_EQ(call<fs::Attr>(fs::GetAttr{file})->mode, 0600u);
  primary.resume();
  ASSERT_TRUE(settle().ok());
  EXPECT_EQ(at_primary(dir, "old")->ino, file);
  EXPECT_EQ(at_primary(dir, "old")->mode, 0600u);
  for (const char* gone : {"a", "b", "c", "sub"}) {
    EXPECT_TRUE(at_primary(dir, gone).failed_with(Errc::not_found)) << gone;
  }
  EXPECT_EQ(call<fs::Attr>(fs::GetAttr{dir})->nlink, 2u);
}

TEST_F(LocalLeases, what_must_be_refused_is_refused_here) {
  take_dir();
  ASSERT_TRUE(make(dir, "sub", true).ok());
  const InodeNo sub = call<fs::Attr>(fs::Lookup{dir, "sub"})->ino;
  ASSERT_TRUE(make(sub, "inside").ok());
  primary.stall();
  EXPECT_TRUE(call<fs::Removed>(fs::Unlink{dir, "sub"}).failed_with(Errc::is_directory));
  EXPECT_TRUE(call<fs::Removed>(fs::Rmdir{dir, "sub"}).failed_with(Errc::not_empty));
  EXPECT_TRUE(call<fs::Removed>(fs::Rmdir{dir, "first"}).failed_with(Errc::not_directory));
  EXPECT_TRUE(call<fs::Removed>(fs::Unlink{dir, "none"}).failed_with(Errc::not_found));
  fs::Rename keep{dir, "first", dir, "second"};
  keep.no_replace = true;
  EXPECT_TRUE(call<fs::Renamed>(keep).failed_with(Errc::exists));
  EXPECT_TRUE(call<fs::Attr>(fs::Link{old, dir, "first"}).failed_with(Errc::exists));
  primary.resume();
}

TEST_F(LocalLeases, what_is_wanted_is_sent_with_its_data_and_given_back) {
  take_dir();
  primary.stall();
  const InodeNo file = make(dir, "late")->ino;
  names->on_wanted({{dir}, false});
  EXPECT_FALSE(was_given(dir)) << "not before it is sent";
  primary.resume();
  wait_until_given(dir);
  EXPECT_TRUE(was_given(file)) << "with all that is in it";
  EXPECT_TRUE(at_primary(dir, "late").ok());
  const auto sent = *content.sent.lock();
  EXPECT_NE(std::find(sent.begin(), sent.end(), file), sent.end());
  primary.set_away(true);
  EXPECT_FALSE(make(dir, "x").ok()) << "no longer made here";
}

TEST_F(LocalLeases, what_was_wanted_is_not_asked_for_again_at_once) {
  take_dir();
  names->on_wanted({{dir}, false});
  wait_until_given(dir);
  const size_t before = primary.lease_requests().size();
  ASSERT_TRUE(make(dir, "x").ok());
  ASSERT_TRUE(make(dir, "y").ok());
  EXPECT_EQ(primary.lease_requests().size(), before);
  clock.advance(std::chrono::seconds(20));
  renew();
  ASSERT_TRUE(make(dir, "z").ok());
  ASSERT_TRUE(make(dir, "zz").ok());
  EXPECT_EQ(primary.lease_requests().size(), before + 1);
}

TEST_F(LocalLeases, a_lease_that_ran_out_is_not_used) {
  take_dir();
  clock.advance(std::chrono::seconds(9));
  const size_t before = primary.calls("create");
  ASSERT_TRUE(make(dir, "x").ok());
  EXPECT_EQ(primary.calls("create"), before + 1);
  EXPECT_TRUE(at_primary(dir, "x").ok()) << "made there";
  renew();
  EXPECT_TRUE(call<fs::Attr>(fs::GetAttr{dir}).ok());
  primary.stall();
  EXPECT_TRUE(call<fs::Attr>(fs::Lookup{dir, "x"}).ok()) << "and known here, as it is held again";
  EXPECT_TRUE(make(dir, "y").ok());
  primary.resume();
}

TEST_F(LocalLeases, another_number_means_that_all_leases_are_lost) {
  take_dir();
  primary.stall();
  ASSERT_TRUE(make(dir, "late").ok());
  primary.set_lease(kWriteLease + 1);
  names->on_lease(kWriteLease + 1);
  EXPECT_EQ(names->lease_state().writes, 0u);
  primary.resume();
  const auto told = [&] {
    for (const auto& request : primary.lease_requests()) {
      if (request.give_all) return true;
    }
    return false;
  };
  while (!told()) std::this_thread::yield();
  EXPECT_TRUE(at_primary(dir, "late").ok()) << "told only when everything was sent";
}

TEST_F(LocalLeases, late_changes_of_a_fenced_mount_take_nothing_from_others) {
  take_dir();
  primary.stall();
  const InodeNo mine = make(dir, "both")->ino;
  ASSERT_TRUE(call<fs::Removed>(fs::Unlink{dir, "old"}).ok());
  ASSERT_TRUE(call<fs::Renamed>(fs::Rename{dir, "first", dir, "target"}).ok());
  names->on_lease(kWriteLease + 1);  // somebody waited in vain
  ASSERT_TRUE(primary.as_other(create_of(dir, "both", false)).ok());
  ASSERT_TRUE(primary.as_other(create_of(dir, "target", false)).ok());
  ASSERT_TRUE(primary.as_other(fs::Unlink{dir, "old"}).ok());
  const auto theirs = primary.as_other(create_of(dir, "old", false));
  primary.resume();
  ASSERT_TRUE(settle().ok());
  EXPECT_NE(at_primary(dir, "both")->ino, mine);
  EXPECT_EQ(at_primary(dir, "old")->ino, std::get<fs::Attr>(*theirs).ino) << "not removed";
  size_t copies = 0;
  const auto page = primary.as_other(fs::ReadDir{dir, 0, 100});
  for (const fs::DirEntry& entry : std::get<fs::DirPage>(*page).entries) {
    copies += entry.name.find(".conflict-host-") != std::string::npos;
  }
  EXPECT_EQ(copies, 2u) << "both and target";
}

TEST_F(LocalLeases, a_crash_loses_nothing_that_was_synchronised) {
  take_dir();
  primary.stall();
  ASSERT_TRUE(make(dir, "x").ok());
  ASSERT_TRUE(call<fs::Renamed>(fs::Rename{dir, "x", dir, "y"}).ok());
  ASSERT_TRUE(call<fs::Removed>(fs::Unlink{dir, "old"}).ok());
  ASSERT_TRUE(run_blocking(journal->sync()).ok());
  names->stop();
  primary.resume();
  start();
  EXPECT_TRUE(at_primary(dir, "y").ok());
  EXPECT_TRUE(at_primary(dir, "x").failed_with(Errc::not_found));
  EXPECT_TRUE(at_primary(dir, "old").failed_with(Errc::not_found));
}

TEST_F(LocalLeases, files_are_covered_by_a_lease_of_their_own_or_of_their_directory) {
  primary.set_granting(false);
  EXPECT_FALSE(run_blocking(names->cover(old)));
  primary.set_granting(true);
  EXPECT_FALSE(run_blocking(names->cover(old))) << "refused a moment ago";
  clock.advance(std::chrono::seconds(3));
  EXPECT_TRUE(run_blocking(names->cover(old)));
  EXPECT_TRUE(names->covers(old));
  names->on_wanted({{old}, false});
  EXPECT_FALSE(names->covers(old)) << "from then on";
  wait_until_given(old);
}

TEST_F(LocalLeases, while_the_primary_is_away_held_directories_are_changed_here) {
  take_dir();
  primary.set_away(true);
  names->on_state(false);
  EXPECT_TRUE(make(dir, "down").ok());
  primary.set_refusing(false);
  clock.advance(std::chrono::seconds(2));
  EXPECT_TRUE(make(dir, "cut-off").ok());
  clock.advance(std::chrono::seconds(6));
  primary.set_away(false);
  const size_t before = primary.calls("create");
  ASSERT_TRUE(make(dir, "there").ok());
  EXPECT_GT(primary.calls("create"), before) << "it can be asked, though there are no events";
  EXPECT_TRUE(at_primary(dir, "there").ok());
  EXPECT_TRUE(at_primary(dir, "down").ok());
  EXPECT_TRUE(at_primary(dir, "cut-off").ok());
}

TEST_F(LocalLeases, a_directory_that_was_made_here_is_leased_before_it_is_filled) {
  const InodeNo made = make(dir, "mine", true)->ino;
  ASSERT_EQ(primary.lease_requests().size(), 1u);
  EXPECT_EQ(primary.lease_requests()[0].take, made);
  primary.stall();
  EXPECT_TRUE(make(made, "f").ok());
  primary.resume();
}

/// durability=remote.
class LeasesWithoutJournal : public LocalLeases {
 protected:
  LeasesWithoutJournal() { start(false); }
  Result<void> sent(InodeNo ino, std::chrono::milliseconds deadline = kPatience) {
    return run_blocking(names->sent(ino, deadline));
  }
};

TEST_F(LeasesWithoutJournal, names_are_made_here_and_sent_for_whoever_waits) {
  take_dir();
  primary.stall();
  const Result<fs::Attr> third = make(dir, "third");
  ASSERT_TRUE(third.ok());
  EXPECT_TRUE(call<fs::Renamed>(fs::Rename{dir, "old", dir, "new"}).ok());
  EXPECT_TRUE(call<fs::Removed>(fs::Unlink{dir, "first"}).ok());
  EXPECT_TRUE(names->unsent(third->ino));
  EXPECT_TRUE(names->unsent(old));
  EXPECT_EQ(names->lease_state().unsent, 3u);
  EXPECT_TRUE(sent(third->ino, std::chrono::milliseconds(10)).failed_with(Errc::unavailable));
  primary.resume();
  ASSERT_TRUE(sent(third->ino).ok());
  EXPECT_EQ(at_primary(dir, "third")->ino, third->ino);
  ASSERT_TRUE(settle().ok());
  EXPECT_FALSE(names->unsent(old));
  EXPECT_EQ(at_primary(dir, "new")->ino, old);
  EXPECT_TRUE(at_primary(dir, "first").failed_with(Errc::not_found));
}

TEST_F(LeasesWithoutJournal, a_directory_that_was_made_here_is_leased_meanwhile) {
  const InodeNo made = make(dir, "mine", true)->ino;
  EXPECT_TRUE(make(made, "first").ok()) << "waits for the lease";
  ASSERT_EQ(primary.lease_requests().size(), 1u);
  EXPECT_EQ(primary.lease_requests()[0].take, made);
  primary.stall();
  EXPECT_TRUE(make(made, "f").ok());
  primary.resume();
}

TEST_F(LeasesWithoutJournal, what_nobody_waits_for_is_sent_all_the_same) {
  take_dir();
  ASSERT_TRUE(make(dir, "third").ok());
  while (!at_primary(dir, "third").ok()) std::this_thread::yield();
}

TEST_F(LeasesWithoutJournal, nobody_waits_for_a_lease_beyond_the_deadline) {
  ASSERT_TRUE(make(dir, "first").ok());
  primary.stall();
  std::jthread late([&] {
    // The lease is asked for, and the name waits for it; when that takes too long it goes itself.
    while (primary.calls("create") < 2) std::this_thread::yield();
    primary.resume();
  });
  const std::chrono::milliseconds deadline(50);
  EXPECT_TRUE(run_blocking(names->call<fs::Attr>(create_of(dir, "second", false), deadline)).ok());
}

TEST_F(LeasesWithoutJournal, what_is_wanted_is_sent_and_given_back) {
  take_dir();
  primary.stall();
  ASSERT_TRUE(make(dir, "late").ok());
  names->on_wanted({{}, true});
  primary.resume();
  wait_until_given(dir);
  EXPECT_TRUE(at_primary(dir, "late").ok());
}

TEST_F(LeasesWithoutJournal, nothing_is_believed_while_the_primary_is_down) {
  take_dir();
  primary.set_away(true);
  const Result<fs::Attr> held = make(dir, "held");
  ASSERT_TRUE(held.ok()) << "the lease lasts";
  names->on_state(false);
  const auto refused = [&](fs::Operation operation) {
    const std::chrono::milliseconds deadline(20);
    return run_blocking(names->call<fs::Attr>(std::move(operation), deadline))
        .failed_with(Errc::unavailable);
  };
  EXPECT_TRUE(refused(create_of(dir, "down", false)));
  EXPECT_TRUE(refused(fs::Lookup{dir, "old"}));
  primary.set_away(false);
  ASSERT_TRUE(sent(held->ino).ok());
  EXPECT_TRUE(at_primary(dir, "held").ok());
}

}  // namespace
}  // namespace aster::testing
