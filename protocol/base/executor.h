#pragma once

#include <chrono>
#include <condition_variable>
#include <coroutine>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/task.h"

namespace aster {

/// A named pool of threads for work that may block. Thread-safe. The destructor runs what is
/// queued, fires every timer at once and joins, so that no waiting coroutine is forgotten.
class Executor {
 public:
  struct Options {
    std::string name;  ///< at most 12 characters; threads are called name/0, name/1 ...
    size_t threads = 2;
    size_t queue_limit = 4096;  ///< bound for run(); post() is never refused
  };
  explicit Executor(Options options);
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  /// Continuations and internal steps; never refused and never run on the calling thread.
  void post(std::function<void()> work);
  /// Not before `delay` from now.
  void post_after(Duration delay, std::function<void()> work);

  /// Runs `function`, which returns a Result, on a thread of the pool. The awaiting coroutine goes
  /// on there. out_of_resources when `queue_limit` pieces of work are waiting.
  template <class F>
  Task<std::invoke_result_t<F&>> run(F function) {
    Hop queued{*this, true};
    const bool accepted = co_await queued;
    if (!accepted) {
      co_return fail(Errc::out_of_resources, options_.name + ": too many requests are waiting");
    }
    co_return function();
  }
  /// Moves the awaiting coroutine onto the pool: `co_await executor.hop();`
  auto hop() { return Hop{*this, false}; }
  /// Lets the awaiting coroutine go on, on the pool, after `delay`.
  auto sleep(Duration delay) { return Sleep{*this, delay}; }

  size_t waiting() const;

 private:
  struct Hop {
    Executor& executor;
    bool bounded;
    bool accepted = true;
    KeptRequest request = {};
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> waiter);
    bool await_resume() const noexcept {
      request.put_back();
      return accepted;
    }
  };
  struct Sleep {
    Executor& executor;
    Duration delay;
    KeptRequest request = {};
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiter) {
      request.keep();
      executor.post_after(delay, [waiter] { waiter.resume(); });
    }
    void await_resume() const noexcept { request.put_back(); }
  };

  /// A thread with nothing to do.
  struct Sleeper {
    std::condition_variable wake;
    bool woken = false;
  };

  void work(size_t index);
  void wait_for_work(Sleeper& self, std::unique_lock<std::mutex>& lock);
  void wake_one();
  bool try_post(std::function<void()>& work);

  const Options options_;
  mutable std::mutex mutex_;
  std::vector<Sleeper*> idle_;  // the last one is woken first: its caches are warm
  Sleeper* keeper_ = nullptr;   // the one that waits for the first timer
  std::deque<std::function<void()>> queue_;
  std::multimap<SteadyTime, std::function<void()>> timers_;
  bool stopping_ = false;
  std::vector<std::jthread> threads_;
};

/// Mutual exclusion for coroutines, first come first served. The next holder goes on on the
/// executor. `auto lock = co_await mutex.acquire();` is held until `lock` goes.
class AsyncMutex {
 public:
  explicit AsyncMutex(Executor& executor) : executor_(executor) {}

  class [[nodiscard]] Lock {
   public:
    explicit Lock(AsyncMutex* mutex) noexcept : mutex_(mutex) {}
    Lock(Lock&& other) noexcept : mutex_(std::exchange(other.mutex_, nullptr)) {}
    Lock& operator=(Lock&& other) noexcept {
      if (this != &other) {
        release();
        mutex_ = std::exchange(other.mutex_, nullptr);
      }
      return *this;
    }
    ~Lock() { release(); }
    void release() {
      if (mutex_) std::exchange(mutex_, nullptr)->unlock();
    }

   private:
    AsyncMutex* mutex_;
  };

  auto acquire() {
    struct Awaiter {
      AsyncMutex& mutex;
      KeptRequest request;
      bool await_ready() const noexcept { return false; }
      bool await_suspend(std::coroutine_handle<> waiter) {
        request.keep();
        return mutex.wait(waiter);
      }
      Lock await_resume() const noexcept {
        request.put_back();
        return Lock(&mutex);
      }
    };
    return Awaiter{*this, {}};
  }
  /// nullopt when somebody has it.
  std::optional<Lock> try_acquire();

 private:
  bool wait(std::coroutine_handle<> waiter);  // false: taken at once
  void unlock();

  Executor& executor_;
  std::mutex mutex_;
  bool held_ = false;
  std::deque<std::coroutine_handle<>> waiters_;
};

/// A byte budget that coroutines draw from, first come first served. A request larger than the
/// whole budget is granted when nothing else is out.
class AsyncBudget {
 public:
  AsyncBudget(Executor& executor, uint64_t total) : executor_(executor), total_(total) {}

  auto acquire(uint64_t amount) {
    struct Awaiter {
      AsyncBudget& budget;
      uint64_t amount;
      KeptRequest request;
      bool await_ready() const noexcept { return false; }
      bool await_suspend(std::coroutine_handle<> waiter) {
        request.keep();
        return budget.wait(waiter, amount);
      }
      void await_resume() const noexcept { request.put_back(); }
    };
    return Awaiter{*this, amount, {}};
  }
  /// Takes `amount` only if nobody waits and it fits now.
  bool try_acquire(uint64_t amount);
  void release(uint64_t amount);
  uint64_t in_use() const;

 private:
  struct Waiter {
    std::coroutine_handle<> handle;
    uint64_t amount;
  };
  bool fits(uint64_t amount) const { return used_ == 0 || used_ + amount <= total_; }
  bool wait(std::coroutine_handle<> waiter, uint64_t amount);

  Executor& executor_;
  const uint64_t total_;
  mutable std::mutex mutex_;
  uint64_t used_ = 0;
  std::deque<Waiter> waiters_;
};

}  // namespace aster
