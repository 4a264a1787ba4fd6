#include "server/webdav/lock_table.h"

#include <gtest/gtest.h>

#include "server/db/database.h"
#include "tests/support/fake_clock.h"
#include "tests/support/temp_dir.h"

namespace aster::webdav {
namespace {

/// Inodes: 1 is the root, 2 a directory in it, 3 a file in 2, 4 a file in the root.
class Locks : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = db::Database::open({.url = "sqlite://" + (dir / "a.db").string()}, executor);
    ASSERT_TRUE(opened.ok());
    database = std::move(*opened);
    store.emplace(*database, executor, clock);
    table.emplace(*store, clock);
  }
  static LockPlace place(uint64_t ino) {
    LockPlace out{1, InodeNo(ino), {}};
    if (ino != 1) out.above.push_back(InodeNo(1));
    if (ino == 3) out.above.push_back(InodeNo(2));
    return out;
  }
  Result<Lock> take(uint64_t ino, bool shared = false, bool deep = false) {
    const LockPlace at = place(ino);
    Lock lock{.workspace = 1, .ino = at.ino, .above = at.above, .shared = shared, .deep = deep};
    lock.path = "/x";
    lock.principal = "ann";
    lock.timeout = 100;
    return run_blocking(table->take(std::move(lock)));
  }

  testing::TempDir dir;
  Executor executor{{"locks", 2}};
  testing::FakeClock clock;
  std::unique_ptr<db::Database> database;
  std::optional<db::WebdavStore> store;
  std::optional<LockTable> table;
};

TEST_F(Locks, exclusive_beside_nothing_shared_beside_shared) {
  ASSERT_TRUE(take(3).ok());
  EXPECT_TRUE(take(3).failed_with(Errc::locked));
  EXPECT_TRUE(take(3, true).failed_with(Errc::locked));
  ASSERT_TRUE(take(4, true).ok());
  ASSERT_TRUE(take(4, true).ok());
  EXPECT_TRUE(take(4).failed_with(Errc::locked));
  EXPECT_EQ(table->covering(place(4)).size(), 2u);
}

TEST_F(Locks, deep_locks_reach_down_and_are_stopped_by_what_is_below) {
  ASSERT_TRUE(take(3).ok());
  EXPECT_TRUE(take(2, false, true).failed_with(Errc::locked));
  ASSERT_TRUE(take(2).ok()) << "a shallow one does not meet it";
  EXPECT_EQ(table->below(place(1)).size(), 2u);
  EXPECT_EQ(table->below(place(2)).size(), 1u);
  LockPlace elsewhere = place(3);
  elsewhere.workspace = 2;
  EXPECT_TRUE(table->covering(elsewhere).empty());
  ASSERT_TRUE(run_blocking(table->drop(place(2))).ok());
  EXPECT_TRUE(table->below(place(1)).empty()) << "what is gone holds no lock";
  ASSERT_TRUE(take(1, false, true).ok());
  EXPECT_EQ(table->covering(place(3)).size(), 1u);
  EXPECT_TRUE(take(3, true).failed_with(Errc::locked));
}

TEST_F(Locks, end_with_their_time_unless_refreshed) {
  const auto lock = take(3);
  ASSERT_TRUE(lock.ok());
  clock.advance(std::chrono::seconds(99));
  ASSERT_TRUE(run_blocking(table->refresh(lock->token, place(3), 100)).ok());
  EXPECT_TRUE(
      run_blocking(table->refresh(lock->token, place(4), 100)).failed_with(Errc::not_found));
  clock.advance(std::chrono::seconds(99));
  EXPECT_EQ(table->covering(place(3)).size(), 1u);
  clock.advance(std::chrono::seconds(1));
  EXPECT_TRUE(table->covering(place(3)).empty());
  EXPECT_TRUE(
      run_blocking(table->refresh(lock->token, place(3), 100)).failed_with(Errc::not_found));
  EXPECT_TRUE(take(3).ok());
}

TEST_F(Locks, are_there_after_a_restart) {
  const auto lock = take(3);
  const auto released = take(4);
  ASSERT_TRUE(lock.ok() && released.ok());
  ASSERT_TRUE(run_blocking(table->release(released->token)).ok());
  LockTable again(*store, clock);
  ASSERT_TRUE(run_blocking(again.load()).ok());
  const auto found = again.covering(place(3));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].token, lock->token);
  EXPECT_EQ(found[0].above, lock->above);
  EXPECT_EQ(found[0].principal, "ann");
  EXPECT_TRUE(again.covering(place(4)).empty());
}

TEST(ParseTimeout, is_kept_within_bounds) {
  const auto parse = [](std::string text) { return parse_timeout(&text); };
  EXPECT_EQ(parse_timeout(nullptr), LockTable::kUsual);
  EXPECT_EQ(parse("Second-10"), 10);
  EXPECT_EQ(parse("Second-0"), 1);
  EXPECT_EQ(parse("Infinite, Second-5"), LockTable::kLongest);
  EXPECT_EQ(parse("Second-4100000000"), LockTable::kLongest);
  EXPECT_EQ(parse("Second-99999999999999999999999"), LockTable::kLongest);
  EXPECT_EQ(parse("soon"), LockTable::kUsual);
}

}  // namespace
}  // namespace aster::webdav
