#include "fuse/io/dirty_budget.h"

#include <gtest/gtest.h>

#include "drive.h"

namespace aster::testing {
namespace {

class DirtyBudgetTest : public ::testing::Test {
 protected:
  std::shared_ptr<DirtyBudget> budget(std::chrono::milliseconds timeout) {
    return std::make_shared<DirtyBudget>(executor_, 100, timeout);
  }
  Executor executor_{{.name = "test", .threads = 1}};
};

TEST_F(DirtyBudgetTest, writers_wait_in_order) {
  const auto budget = this->budget(std::chrono::seconds(30));
  ASSERT_TRUE(budget->try_acquire(90));
  auto large = in_background(budget->acquire(50));
  auto small = in_background(budget->acquire(5));
  EXPECT_FALSE(budget->try_acquire(1));  // nobody overtakes
  budget->release(90);
  EXPECT_TRUE(large.get().ok());
  EXPECT_TRUE(small.get().ok());
  EXPECT_EQ(budget->in_use(), 55u);
}

TEST_F(DirtyBudgetTest, whoever_starts_to_wait_makes_pressure) {
  const auto budget = this->budget(std::chrono::seconds(30));
  int pressed = 0;
  budget->set_pressure([&] { ++pressed; });
  ASSERT_TRUE(run_blocking(budget->acquire(100)).ok());
  EXPECT_EQ(pressed, 0);
  auto waiting = in_background(budget->acquire(1));
  EXPECT_EQ(pressed, 1);
  budget->release(100);
  EXPECT_TRUE(waiting.get().ok());
}

TEST_F(DirtyBudgetTest, wait_ends_with_the_error_of_uploads_that_fail) {
  const auto budget = this->budget(std::chrono::milliseconds(20));
  ASSERT_TRUE(budget->try_acquire(100));
  auto waiting = in_background(budget->acquire(10));
  budget->note_failure({Errc::no_space, "full"});
  EXPECT_TRUE(waiting.get().failed_with(Errc::no_space));
  budget->release(100);
  EXPECT_TRUE(budget->try_acquire(100));
}

TEST_F(DirtyBudgetTest, one_who_gives_up_lets_the_next_through) {
  const auto budget = this->budget(std::chrono::milliseconds(20));
  ASSERT_TRUE(budget->try_acquire(60));
  auto large = in_background(budget->acquire(80));
  auto small = in_background(budget->acquire(10));
  budget->note_failure({Errc::unavailable, "down"});
  EXPECT_FALSE(large.get().ok());
  EXPECT_TRUE(small.get().ok());
}

TEST_F(DirtyBudgetTest, stop_ends_every_wait) {
  const auto budget = this->budget(std::chrono::seconds(30));
  ASSERT_TRUE(budget->try_acquire(100));
  auto waiting = in_background(budget->acquire(10));
  budget->stop();
  EXPECT_TRUE(waiting.get().failed_with(Errc::interrupted));
  EXPECT_TRUE(run_blocking(budget->acquire(1)).failed_with(Errc::interrupted));
  EXPECT_FALSE(budget->try_acquire(1));
}

}  // namespace
}  // namespace aster::testing
