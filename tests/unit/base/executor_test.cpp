#include "protocol/base/executor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

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

/// How often threads of the pool stopped to wait, all together.
uint64_t waits_of(const std::string& pool) {
  uint64_t waits = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    std::getline(std::ifstream(task.path() / "comm"), name);
    if (!name.starts_with(pool + "/")) continue;
    std::ifstream status(task.path() / "status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("voluntary_")) waits += std::stoull(line.substr(line.find(':') + 1));
    }
  }
  return waits;
}

TEST(Executor, a_timer_wakes_no_more_threads_than_it_needs) {
  constexpr size_t kThreads = 16;
  constexpr size_t kTimers = 200;
  Executor executor({.name = "timers", .threads = kThreads});
  executor.post_after(std::chrono::hours(1), [] {});
  const auto rest = [&executor]() -> Task<Result<void>> {
    for (size_t i = 0; i < kTimers; ++i) co_await executor.sleep(std::chrono::microseconds(100));
    co_return ok();
  };
  ASSERT_TRUE(run_blocking(rest()).ok());  // and all threads have begun
  const uint64_t before = waits_of("timers");
  ASSERT_TRUE(run_blocking(rest()).ok());
  EXPECT_LT(waits_of("timers") - before, kTimers * kThreads / 2);
}

TEST(Executor, everything_posted_from_everywhere_is_run) {
  std::atomic<size_t> ran = 0;
  {
    Executor executor({.name = "test", .threads = 4});
    std::vector<std::jthread> posters;
    for (size_t poster = 0; poster < 4; ++poster) {
      posters.emplace_back([&executor, &ran] {
        for (size_t i = 0; i < 2000; ++i) {
          executor.post([&ran] { ++ran; });
          executor.post_after(std::chrono::microseconds(i % 50),
                              [&] { executor.post([&ran] { ++ran; }); });
        }
      });
    }
    posters.clear();
  }
  EXPECT_EQ(ran, 16000u);
}

// Nobody else comes: whoever waits for the timer is the one that has to do the work, too.
TEST(Executor, one_thread_does_work_while_a_timer_is_far) {
  Executor executor({.name = "test", .threads = 1});
  executor.post_after(std::chrono::hours(1), [] {});
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(run_blocking(compute(executor)).value(), 42);
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
