#include "protocol/base/task.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <thread>

namespace aster {
namespace {

Task<int> number(int n) {
  co_return n;
}

Task<Result<int>> sum(int a, int b) {
  const int x = co_await number(a);
  const int y = co_await number(b);
  co_return x + y;
}

Task<Result<int>> throwing() {
  throw std::runtime_error("broken");
  co_return 1;
}

Task<int> awaiting(Completion<int> completion) {
  co_return co_await completion;
}

TEST(Task, runs_only_when_awaited_and_gives_its_value) {
  EXPECT_EQ(run_blocking(sum(2, 3)).value(), 5);
}

TEST(Task, exception_becomes_an_internal_error_at_the_top) {
  const Result<int> result = run_blocking(throwing());
  ASSERT_TRUE(result.failed_with(Errc::internal));
  EXPECT_EQ(result.error().context, "broken");
}

TEST(Completion, wakes_the_waiter_from_another_thread) {
  Completion<int> completion;
  std::jthread setter([completion] { completion.set(7); });
  EXPECT_EQ(run_blocking(awaiting(completion)), 7);
}

TEST(Completion, first_value_wins) {
  Completion<int> completion;
  EXPECT_TRUE(completion.set(1));
  EXPECT_FALSE(completion.set(2));
  EXPECT_EQ(run_blocking(awaiting(completion)), 1);
}

TEST(WhenAll, keeps_the_order_of_its_tasks) {
  Completion<int> late;
  std::vector<Task<int>> tasks;
  tasks.push_back(awaiting(late));
  tasks.push_back(number(2));
  std::jthread setter([late] { late.set(1); });
  EXPECT_EQ(run_blocking(when_all(std::move(tasks))), (std::vector<int>{1, 2}));
}

TEST(WhenAll, of_nothing_is_nothing) {
  EXPECT_TRUE(run_blocking(when_all(std::vector<Task<int>>{})).empty());
}

}  // namespace
}  // namespace aster
