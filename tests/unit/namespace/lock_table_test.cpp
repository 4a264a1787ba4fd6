#include "server/primary/lock_table.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/support/fake_clock.h"

namespace aster::primary {
namespace {

constexpr SessionId kOne{1};
constexpr SessionId kTwo{2};

class Locks : public ::testing::Test {
 protected:
  static fs::LockRequest request(SessionId session, uint64_t owner, uint64_t start = 0,
                                 uint64_t length = 0, bool exclusive = true) {
    fs::LockRequest r;
    r.session = session;
    r.ino = InodeNo(10);
    r.owner = owner;
    r.start = start;
    r.length = length;
    r.exclusive = exclusive;
    r.pid = static_cast<uint32_t>(owner);
    return r;
  }
  bool granted(const fs::LockRequest& r) { return table.apply(r).value().granted; }
  bool unlock(fs::LockRequest r) {
    r.unlock = true;
    return granted(r);
  }

  testing::FakeClock clock;
  LockTable table{std::chrono::seconds(10), clock};
};

TEST_F(Locks, exclude_other_owners_and_not_their_own) {
  EXPECT_TRUE(granted(request(kOne, 1)));
  EXPECT_TRUE(granted(request(kOne, 1)));
  EXPECT_FALSE(granted(request(kOne, 2)));
  EXPECT_FALSE(granted(request(kTwo, 1)));
  EXPECT_TRUE(unlock(request(kOne, 1)));
  EXPECT_TRUE(granted(request(kTwo, 1)));
}

TEST_F(Locks, share_when_nobody_writes) {
  EXPECT_TRUE(granted(request(kOne, 1, 0, 0, false)));
  EXPECT_TRUE(granted(request(kTwo, 1, 0, 0, false)));
  EXPECT_FALSE(granted(request(kTwo, 1))) << "an upgrade waits for the other reader";
  EXPECT_TRUE(unlock(request(kOne, 1)));
  EXPECT_TRUE(granted(request(kTwo, 1)));
}

TEST_F(Locks, ranges_are_split_and_cut) {
  EXPECT_TRUE(granted(request(kOne, 1, 0, 100)));
  EXPECT_TRUE(unlock(request(kOne, 1, 40, 10)));
  EXPECT_TRUE(granted(request(kTwo, 1, 40, 10)));
  EXPECT_FALSE(granted(request(kTwo, 1, 39, 1)));
  EXPECT_FALSE(granted(request(kTwo, 1, 50, 1)));
  EXPECT_TRUE(granted(request(kTwo, 1, 100, 0)));
  EXPECT_TRUE(granted(request(kOne, 1, 0, 10, false))) << "downgrade of a part";
  EXPECT_TRUE(granted(request(kTwo, 1, 0, 10, false)));
}

TEST_F(Locks, the_one_in_the_way_is_named) {
  EXPECT_TRUE(granted(request(kOne, 1, 10, 5)));
  fs::LockRequest test = request(kTwo, 2);
  test.test = true;
  const fs::LockAnswer answer = table.apply(test).value();
  EXPECT_TRUE(answer.conflict);
  EXPECT_TRUE(answer.exclusive);
  EXPECT_EQ(answer.start, 10u);
  EXPECT_EQ(answer.length, 5u);
  EXPECT_EQ(answer.pid, 0u) << "numbers of other machines mean nothing";
  test.session = kOne;
  EXPECT_EQ(table.apply(test)->pid, 1u);
  EXPECT_TRUE(granted(request(kTwo, 2, 0, 10))) << "a test takes nothing";
}

TEST_F(Locks, flock_and_fcntl_do_not_see_each_other) {
  EXPECT_TRUE(granted(request(kOne, 1)));
  fs::LockRequest whole = request(kTwo, 1);
  whole.whole = true;
  EXPECT_TRUE(granted(whole));
  whole.session = kOne;
  EXPECT_FALSE(granted(whole));
}

TEST_F(Locks, end_with_their_session) {
  EXPECT_TRUE(granted(request(kOne, 1)));
  table.close(kOne);
  EXPECT_TRUE(granted(request(kTwo, 1)));
}

TEST_F(Locks, odd_ranges_reach_to_the_end) {
  EXPECT_TRUE(granted(request(kOne, 1, UINT64_MAX, UINT64_MAX)));
  EXPECT_FALSE(granted(request(kTwo, 1, 5, UINT64_MAX)));
  EXPECT_TRUE(granted(request(kTwo, 1, 5, 10)));
}

TEST_F(Locks, after_a_restart_only_old_locks_are_taken_for_a_while) {
  table.restored(kOne);
  fs::LockRequest fresh = request(kTwo, 1);
  const fs::LockAnswer answer = table.apply(fresh).value();
  EXPECT_FALSE(answer.granted);
  EXPECT_FALSE(answer.conflict);
  fs::LockRequest old = request(kOne, 1);
  old.reclaim = true;
  EXPECT_TRUE(granted(old));
  clock.advance(std::chrono::seconds(10));
  EXPECT_FALSE(granted(fresh));
  EXPECT_TRUE(unlock(old));
  EXPECT_TRUE(granted(fresh));
}

TEST_F(Locks, nobody_is_awaited_once_all_sessions_of_before_have_ended) {
  table.restored(kOne);
  table.close(kOne);
  EXPECT_TRUE(granted(request(kTwo, 1)));
}

TEST_F(Locks, a_session_cannot_fill_the_memory) {
  for (uint64_t i = 0; i < LockTable::kSessionMax; ++i) {
    fs::LockRequest r = request(kOne, 1);
    r.ino = InodeNo(100 + i);
    ASSERT_TRUE(granted(r));
  }
  EXPECT_TRUE(table.apply(request(kOne, 1)).failed_with(Errc::out_of_resources));
  EXPECT_TRUE(granted(request(kTwo, 1)));
}

TEST_F(Locks, a_guest_and_a_mount_keep_each_other_out) {
  const auto guest = [&](const char* token, bool exclusive) {
    return GuestLock{token, InodeNo(10), exclusive, clock.now_seconds() + 60};
  };
  EXPECT_TRUE(table.take(guest("a", true)));
  EXPECT_FALSE(granted(request(kOne, 1)));
  EXPECT_FALSE(granted(request(kOne, 1, 5, 1, false))) << "one byte, only to read";
  fs::LockRequest flock = request(kOne, 1);
  flock.whole = true;
  const fs::LockAnswer answer = table.apply(flock).value();
  EXPECT_TRUE(answer.conflict && answer.exclusive && answer.length == 0);
  table.drop(InodeNo(10), "a");
  EXPECT_TRUE(granted(flock));
  EXPECT_TRUE(table.held_by_mounts(InodeNo(10)));
  EXPECT_FALSE(table.held_by_mounts(InodeNo(11)));
  EXPECT_FALSE(table.take(guest("b", true)));
  EXPECT_FALSE(table.take(guest("b", false)));
  EXPECT_TRUE(unlock(flock));
  EXPECT_TRUE(granted(request(kOne, 1, 0, 10, false)));
  EXPECT_FALSE(table.take(guest("b", true)));
  EXPECT_TRUE(table.take(guest("b", false))) << "readers share";
  EXPECT_FALSE(granted(request(kTwo, 1, 20, 1)));
  EXPECT_TRUE(granted(request(kTwo, 1, 20, 1, false)));
}

/// Directories 1 > 2; the file 10 lies in 2, the file 20 in 1.
class DeepLocks : public Locks {
 protected:
  static Task<Result<std::vector<LockedBelow>>> below(InodeNo directory,
                                                      std::vector<InodeNo> inodes) {
    std::vector<LockedBelow> found;
    for (const InodeNo ino : inodes) {
      for (const InodeNo above : above_of(ino)) {
        if (above == directory) found.push_back({ino, {std::to_string(ino.value)}});
      }
    }
    co_return found;
  }
  static std::vector<InodeNo> above_of(InodeNo ino) {
    if (ino.value == 10) return {InodeNo(2), InodeNo(1)};
    return {InodeNo(1)};
  }
  bool mount_gets(uint64_t ino, bool exclusive = true, bool unlock = false) {
    fs::LockRequest r = request(kOne, 1, 0, 0, exclusive);
    r.ino = InodeNo(ino);
    r.unlock = unlock;
    const auto answer = deep.apply(r, {deep.deep_mark(), above_of(r.ino)});
    return answer.value().value().granted;
  }
  bool guest_gets(const char* token, uint64_t ino, bool exclusive = true) {
    GuestLock lock{token, InodeNo(ino), exclusive, clock.now_seconds() + 60, true};
    return run_blocking(deep.take_deep(std::move(lock))).value();
  }

  LockTable deep{std::chrono::seconds(10), clock, below};
};

TEST_F(DeepLocks, keep_mounts_out_below_and_are_kept_out_by_them) {
  ASSERT_TRUE(guest_gets("a", 2));
  EXPECT_FALSE(mount_gets(10));
  EXPECT_FALSE(mount_gets(10, false));
  EXPECT_TRUE(mount_gets(20)) << "beside it";
  EXPECT_FALSE(guest_gets("b", 1)) << "over what a mount has";
  EXPECT_EQ(deep.deep_mark() != 0, true);
  deep.drop(InodeNo(2), "a");
  EXPECT_EQ(deep.deep_mark(), 0u) << "nothing of the refused one is left";
  EXPECT_TRUE(mount_gets(10));
  EXPECT_FALSE(guest_gets("a", 2));
  EXPECT_TRUE(mount_gets(10, true, true));
  EXPECT_TRUE(guest_gets("a", 2));
}

TEST_F(DeepLocks, what_is_locked_below_tells_who_has_it) {
  ASSERT_TRUE(mount_gets(10, false)) << "to read is enough";
  ASSERT_TRUE(deep.take({"a", InodeNo(20), true, clock.now_seconds() + 60}));
  const auto holders = [&](uint64_t directory) {
    std::map<std::string, LockHolder> by_path;
    const auto below = run_blocking(deep.held_below(InodeNo(directory))).value();
    for (const LockedBelow& one : below) by_path[one.path.front()] = one.holder;
    return by_path;
  };
  using Holders = std::map<std::string, LockHolder>;
  EXPECT_EQ(holders(1), (Holders{{"10", LockHolder::mount}, {"20", LockHolder::guest}}));
  EXPECT_EQ(holders(2), (Holders{{"10", LockHolder::mount}}));
  EXPECT_EQ(holders(3), Holders());
  clock.advance(std::chrono::seconds(61));
  EXPECT_EQ(holders(1), (Holders{{"10", LockHolder::mount}})) << "the guest's has ended";
  ASSERT_TRUE(mount_gets(10, false, true));
  EXPECT_EQ(holders(1), Holders());
}

TEST_F(DeepLocks, a_holder_is_on_the_inode_or_deep_above_it) {
  const std::vector<InodeNo> above = above_of(InodeNo(10));
  EXPECT_EQ(deep.holder(InodeNo(10), above), LockHolder::none);
  ASSERT_TRUE(deep.take({"shallow", InodeNo(1), true, clock.now_seconds() + 60}));
  EXPECT_EQ(deep.holder(InodeNo(10), above), LockHolder::none);
  ASSERT_TRUE(guest_gets("a", 2, false));
  EXPECT_EQ(deep.holder(InodeNo(10), above), LockHolder::guest) << "to read is enough";
  ASSERT_TRUE(mount_gets(10, false));
  EXPECT_EQ(deep.holder(InodeNo(10), above), LockHolder::mount);
  EXPECT_EQ(deep.holder(InodeNo(20), {}), LockHolder::none);
}

TEST_F(DeepLocks, readers_share) {
  ASSERT_TRUE(mount_gets(10, false));
  EXPECT_FALSE(guest_gets("a", 2));
  ASSERT_TRUE(guest_gets("a", 2, false));
  EXPECT_TRUE(mount_gets(10, false));
  EXPECT_FALSE(mount_gets(10));
}

TEST_F(DeepLocks, one_taken_meanwhile_makes_mounts_look_again) {
  const LockTable::Place before{deep.deep_mark(), {}};
  ASSERT_TRUE(guest_gets("a", 2));
  fs::LockRequest wanted = request(kOne, 1);
  EXPECT_FALSE(deep.apply(wanted, before).value().has_value());
  wanted.unlock = true;
  EXPECT_TRUE(deep.apply(wanted, before).value().has_value()) << "to let go is always right";
}

TEST_F(DeepLocks, end_with_their_time_and_keep_their_depth) {
  ASSERT_TRUE(guest_gets("a", 2));
  deep.put({"a", InodeNo(2), true, clock.now_seconds() + 120, true});
  clock.advance(std::chrono::seconds(100));
  EXPECT_FALSE(mount_gets(10));
  clock.advance(std::chrono::seconds(21));
  EXPECT_TRUE(mount_gets(10));
}

TEST_F(Locks, a_guests_lock_ends_with_its_time) {
  const int64_t soon = clock.now_seconds() + 60;
  EXPECT_TRUE(table.take({"a", InodeNo(10), true, soon}));
  clock.advance(std::chrono::seconds(59));
  EXPECT_FALSE(granted(request(kOne, 1)));
  table.put({"a", InodeNo(10), true, soon + 60});
  clock.advance(std::chrono::seconds(2));
  EXPECT_FALSE(granted(request(kOne, 1))) << "it was renewed";
  clock.advance(std::chrono::seconds(60));
  EXPECT_TRUE(granted(request(kOne, 1)));
}

TEST_F(Locks, a_guest_waits_until_mounts_have_claimed_theirs) {
  table.restored(kOne);
  const GuestLock lock{"a", InodeNo(10), true, clock.now_seconds() + 600};
  EXPECT_FALSE(table.take(lock));
  clock.advance(std::chrono::seconds(11));
  EXPECT_TRUE(table.take(lock));
}

}  // namespace
}  // namespace aster::primary
