#include "protocol/base/executor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

namespace aster {
namespace {

Task<Result<int>> compute(Executor& executor) {
  const auto result = co_await executor.run([]() -> Result<int> { return 42; });
  co_return result;
}

TEST(Executor, runs_blocking_work_on_its_own_threads) {
  Executor executor({.name = "test", .threads = 2});
  EXPECT_EQ(run_blocking(compute(executor)).value(), 42);
}

TEST(Executor, refuses_work_over_its_queue_limit) {
  Executor executor({.name = "test", .threads = 1, .queue_limit = 1});
  std::promise<void> gate;
  std::promise<void> running;
  executor.post([&] {
    running.set_value();
    gate.get_future().wait();
  });
  running.get_future().wait();
  executor.post([] {});
  EXPECT_TRUE(run_blocking(compute(executor)).failed_with(Errc::out_of_resources));
  gate.set_value();
}

TEST(Executor, destructor_runs_queued_work_and_fires_timers) {
  std::atomic<int> ran = 0;
  {
    Executor executor({.name = "test", .threads = 1});
    executor.post_after(std::chrono::hours(1), [&] { ++ran; });
    executor.post([&] { ++ran; });
  }
  EXPECT_EQ(ran, 2);
}

Task<Result<void>> add_locked(AsyncMutex& mutex, Executor& executor, int& counter) {
  for (int i = 0; i < 100; ++i) {
    const auto lock = co_await mutex.acquire();
    const int seen = counter;
    co_await executor.hop();
    counter = seen + 1;
  }
  co_return ok();
}

TEST(AsyncMutex, holds_over_a_suspension) {
  Executor executor({.name = "test", .threads = 4});
  AsyncMutex mutex(executor);
  int counter = 0;
  std::vector<Task<Result<void>>> tasks;
  for (int i = 0; i < 8; ++i) tasks.push_back(add_locked(mutex, executor, counter));
  run_blocking(when_all(std::move(tasks)));
  EXPECT_EQ(counter, 800);
}

Task<Result<void>> spend(AsyncBudget& budget, Executor& executor, std::atomic<uint64_t>& peak) {
  for (int i = 0; i < 50; ++i) {
    co_await budget.acquire(40);
    peak = std::max<uint64_t>(peak, budget.in_use());
    co_await executor.hop();
    budget.release(40);
  }
  co_return ok();
}

TEST(AsyncBudget, never_exceeds_its_total_and_serves_everybody) {
  Executor executor({.name = "test", .threads = 4});
  AsyncBudget budget(executor, 100);
  std::atomic<uint64_t> peak = 0;
  std::vector<Task<Result<void>>> tasks;
  for (int i = 0; i < 8; ++i) tasks.push_back(spend(budget, executor, peak));
  run_blocking(when_all(std::move(tasks)));
  EXPECT_LE(peak, 100u);
  EXPECT_EQ(budget.in_use(), 0u);
}

TEST(AsyncBudget, grants_an_oversized_request_alone) {
  Executor executor({.name = "test", .threads = 1});
  AsyncBudget budget(executor, 10);
  EXPECT_TRUE(budget.try_acquire(100));
  EXPECT_FALSE(budget.try_acquire(1));
  budget.release(100);
  EXPECT_TRUE(budget.try_acquire(1));
  budget.release(1);
}

}  // namespace
}  // namespace aster
