#include "cache/single_flight.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>

namespace aster::testing {
namespace {

using Flight = SingleFlight<int, std::string>;

Task<Result<std::string>> value_of(std::string value) {
  co_return value;
}
Task<Result<std::string>> failure_of(Errc code) {
  co_return fail(code, "fetch");
}
Task<Result<std::string>> wait_for(Completion<Result<std::string>> answer) {
  Result<std::string> value = co_await answer;
  co_return value;
}
Task<Result<std::string>> thrown() {
  throw std::runtime_error("boom");
  co_return fail(Errc::internal);
}

/// Starts `count` callers for `key` that share one answer.
class SingleFlightTest : public ::testing::Test {
 protected:
  void call(int key, int count) {
    for (int i = 0; i < count; ++i) {
      const auto fetch = [this] {
        ++fetches_;
        return wait_for(answer_);
      };
      tasks_.push_back(flight_.run(key, fetch));
    }
  }
  std::vector<Result<std::string>> answers(const Result<std::string>& answer) {
    auto all = when_all(std::move(tasks_));
    std::vector<Result<std::string>> values;
    Completion<bool> done;
    start<std::vector<Result<std::string>>>(std::move(all), [&](auto v) {
      values = std::move(v);
      done.set(true);
    });
    answer_.set(answer);  // all callers joined above, on this thread
    run_blocking(wait(done));
    return values;
  }
  static Task<void> wait(Completion<bool> done) {
    const bool arrived = co_await done;
    static_cast<void>(arrived);
  }

  Executor executor_{{"test", 2}};
  Flight flight_{executor_};
  Completion<Result<std::string>> answer_;
  std::atomic<int> fetches_{0};
  std::vector<Task<Result<std::string>>> tasks_;
};

TEST_F(SingleFlightTest, many_callers_share_one_fetch) {
  call(1, 50);
  const auto values = answers(std::string("v"));
  ASSERT_EQ(values.size(), 50u);
  for (const auto& value : values) EXPECT_EQ(*value, "v");
  EXPECT_EQ(fetches_, 1);
  EXPECT_EQ(flight_.in_flight(), 0u);
}

TEST_F(SingleFlightTest, a_failure_reaches_all_and_is_not_kept) {
  call(1, 10);
  const auto values = answers(fail(Errc::unavailable, "down"));
  ASSERT_EQ(values.size(), 10u);
  for (const auto& value : values) EXPECT_TRUE(value.failed_with(Errc::unavailable));
  EXPECT_EQ(fetches_, 1);
  const auto again = run_blocking(flight_.run(1, [] { return value_of("up"); }));
  EXPECT_EQ(*again, "up");
}

TEST_F(SingleFlightTest, different_keys_are_fetched_apart) {
  std::optional<Result<std::string>> first;
  start<Result<std::string>>(flight_.run(1, [this] { return wait_for(answer_); }),
                             [&](Result<std::string> value) { first = std::move(value); });
  EXPECT_EQ(flight_.in_flight(), 1u);
  EXPECT_EQ(*run_blocking(flight_.run(2, [] { return value_of("other"); })), "other");
  EXPECT_FALSE(first);
  answer_.set(std::string("v"));
  ASSERT_TRUE(first);
  EXPECT_EQ(**first, "v");
}

TEST_F(SingleFlightTest, a_value_is_not_kept_either) {
  for (const char* expected : {"a", "b"}) {
    const std::string text = expected;
    EXPECT_EQ(*run_blocking(flight_.run(1, [text] { return value_of(text); })), expected);
  }
}

TEST_F(SingleFlightTest, an_exception_is_an_internal_error) {
  EXPECT_TRUE(run_blocking(flight_.run(1, thrown)).failed_with(Errc::internal));
  const auto refuses = []() -> Task<Result<std::string>> { throw std::runtime_error("boom"); };
  EXPECT_TRUE(run_blocking(flight_.run(1, refuses)).failed_with(Errc::internal));
  EXPECT_EQ(flight_.in_flight(), 0u);
}

TEST_F(SingleFlightTest, callers_on_many_threads_all_get_an_answer) {
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        const int key = i % 3;
        const bool failing = i % 5 == 0;
        const auto got = run_blocking(flight_.run(key, [key, failing] {
          return failing ? failure_of(Errc::timeout) : value_of(std::to_string(key));
        }));
        right += got.ok() ? *got == std::to_string(key) : got.failed_with(Errc::timeout);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 2000);
  EXPECT_EQ(flight_.in_flight(), 0u);
}

}  // namespace
}  // namespace aster::testing
