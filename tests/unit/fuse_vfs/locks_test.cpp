#include <thread>

#include "tests/unit/fuse_vfs/vfs_fixture.h"

namespace aster::testing {
namespace {

/// The locks of a mount, of which other mounts' tests cannot see what they ask for.
class MountLocks : public VfsTest {
 protected:
  void SetUp() override {
    VfsOptions options;
    options.timeout = std::chrono::milliseconds(100);  // shorter than the first repetition
    filesystem.reset();
    options.root = primary.root();
    filesystem = std::make_unique<Filesystem>(
        Filesystem::Parts{primary, io, kernel, executor, clock, &primary}, options);
    wish_.ino = foreign("f");
    wish_.owner = 7;
    wish_.range.exclusive = true;
  }
  Result<void> set(FileLocks::Wish wish) { return run(fs().locks().set(wish, false, who)); }
  FileLocks::Wish unlock() const {
    FileLocks::Wish wish = wish_;
    wish.unlock = true;
    return wish;
  }
  void wait_for_calls(size_t count) {
    while (primary.calls("lock") < count) std::this_thread::yield();
  }
  FileLocks::Wish wish_;
};

TEST_F(MountLocks, closing_and_unlocking_what_was_never_locked_costs_nothing) {
  ASSERT_TRUE(run(fs().locks().closed(wish_.ino, wish_.owner)).ok());
  ASSERT_TRUE(set(unlock()).ok());
  EXPECT_EQ(primary.calls("lock"), 0u);
}

TEST_F(MountLocks, close_ends_what_its_process_has_locked) {
  ASSERT_TRUE(set(wish_).ok());
  EXPECT_EQ(fs().locks().held(), 1u);
  ASSERT_TRUE(run(fs().locks().closed(wish_.ino, wish_.owner + 1)).ok());
  EXPECT_EQ(primary.calls("lock"), 1u);
  ASSERT_TRUE(run(fs().locks().closed(wish_.ino, wish_.owner)).ok());
  EXPECT_EQ(primary.calls("lock"), 2u);
  EXPECT_EQ(fs().locks().held(), 0u);
}

TEST_F(MountLocks, a_lock_whose_answer_was_lost_is_given_back_by_the_close) {
  primary.set_away(true);
  EXPECT_TRUE(set(wish_).failed_with(Errc::unavailable));
  primary.set_away(false);
  ASSERT_TRUE(run(fs().locks().closed(wish_.ino, wish_.owner)).ok());
  EXPECT_EQ(primary.calls("lock"), 1u);
}

TEST_F(MountLocks, what_was_written_is_sent_before_the_lock_is_given_up) {
  const auto file = run(fs().open(wish_.ino, O_RDWR, who)).value();
  const auto put = [&](const char* text) {
    return run(fs().write(file.handle, Bytes::from_string(text), {0, O_RDWR}, who)).ok();
  };
  FileLocks::Wish shared = wish_;
  shared.range.exclusive = false;
  ASSERT_TRUE(put("one"));
  ASSERT_TRUE(run(fs().set_lock(shared, false, who)).ok());
  ASSERT_TRUE(run(fs().set_lock(wish_, false, who)).ok());
  EXPECT_EQ(primary.content(wish_.ino).value(), "") << "nothing was given up";
  ASSERT_TRUE(run(fs().set_lock(shared, false, who)).ok());
  EXPECT_EQ(primary.content(wish_.ino).value(), "one") << "others may read now";
  ASSERT_TRUE(run(fs().set_lock(wish_, false, who)).ok());
  ASSERT_TRUE(put("two"));
  ASSERT_TRUE(run(fs().set_lock(unlock(), false, who)).ok());
  EXPECT_EQ(primary.content(wish_.ino).value(), "two");
}

TEST_F(MountLocks, others_exclude_and_are_named) {
  ASSERT_TRUE(set(wish_).ok());
  FileLocks::Wish other = wish_;
  other.owner = 8;
  EXPECT_TRUE(set(other).failed_with(Errc::locked));
  const auto found = run(fs().locks().test(other));
  ASSERT_TRUE(found.ok() && found->has_value());
  EXPECT_TRUE((*found)->exclusive);
}

TEST_F(MountLocks, a_primary_that_was_restarted_gets_them_again) {
  ASSERT_TRUE(set(wish_).ok());
  fs().on_lease(1);
  wait_for_calls(2);
  fs().on_lease(1);
  fs().on_lease(2);
  wait_for_calls(3);
  ASSERT_TRUE(set(unlock()).ok());
  EXPECT_EQ(primary.calls("lock"), 4u) << "one claim for each start of the primary";
}

}  // namespace
}  // namespace aster::testing
