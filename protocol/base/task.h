#pragma once

#include <atomic>
#include <condition_variable>
#include <coroutine>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "protocol/base/request_id.h"
#include "protocol/base/result.h"

namespace aster {

template <class T>
class Task;

namespace task_detail {

struct FinalAwaiter {
  bool await_ready() const noexcept { return false; }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> done) const noexcept {
    return done.promise().continuation;
  }
  void await_resume() const noexcept {}
};

struct PromiseBase {
  std::coroutine_handle<> continuation = std::noop_coroutine();
  std::exception_ptr exception;
  std::suspend_always initial_suspend() const noexcept { return {}; }
  FinalAwaiter final_suspend() const noexcept { return {}; }
  void unhandled_exception() noexcept { exception = std::current_exception(); }
};

template <class T>
struct Promise : PromiseBase {
  std::optional<T> value;
  Task<T> get_return_object();
  template <class U>
  void return_value(U&& v) {
    value.emplace(std::forward<U>(v));
  }
  T take() {
    if (exception) std::rethrow_exception(exception);
    return std::move(*value);
  }
};

template <>
struct Promise<void> : PromiseBase {
  Task<void> get_return_object();
  void return_void() const noexcept {}
  void take() const {
    if (exception) std::rethrow_exception(exception);
  }
};

}  // namespace task_detail

/// A lazy coroutine: nothing runs until it is awaited or handed to start(). It runs on whichever
/// thread resumes it; never hold a mutex over a co_await. Parameters are copied into the frame:
/// take them by value unless the caller awaits at once and keeps them alive. A lambda with captures
/// must not be a coroutine itself (its captures die with the lambda). GCC 12 miscompiles some
/// co_awaits inside larger expressions (seen: `if (!co_await X{...})` traps): await into a named
/// local, or in the statement forms of ASTER_CO_TRY.
template <class T>
class [[nodiscard]] Task {
 public:
  using promise_type = task_detail::Promise<T>;
  using value_type = T;

  explicit Task(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiter) noexcept {
    handle_.promise().continuation = waiter;
    return handle_;
  }
  T await_resume() { return handle_.promise().take(); }

 private:
  std::coroutine_handle<promise_type> handle_;
};

namespace task_detail {

template <class T>
Task<T> Promise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<Promise>::from_promise(*this));
}
inline Task<void> Promise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<Promise>::from_promise(*this));
}

/// Owns itself: the frame is destroyed when the body ends.
struct Detached {
  struct promise_type {
    Detached get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept { std::terminate(); }
  };
};

template <class T>
struct IsResult : std::false_type {};
template <class T>
struct IsResult<Result<T>> : std::true_type {};

template <class T>
Task<T> fenced(Task<T> task) {
  if constexpr (IsResult<T>::value) {
    std::string what;
    try {
      co_return co_await std::move(task);
    } catch (const std::exception& e) {
      what = e.what();
    } catch (...) {
      what = "unknown exception";
    }
    co_return fail(Errc::internal, std::move(what));
  } else {
    co_return co_await std::move(task);
  }
}

template <class T>
Detached drive(Task<T> task, std::function<void(T)> done) {
  T value = co_await fenced(std::move(task));
  done(std::move(value));
}
inline Detached drive(Task<void> task, std::function<void()> done) {
  co_await std::move(task);
  done();
}

}  // namespace task_detail

/// Runs the task on this thread until it first waits; `done` gets its value on whichever thread
/// finishes it. An exception becomes Errc::internal where T is a Result, else ends the program.
template <class T>
void start(Task<T> task, std::function<void(T)> done) {
  task_detail::drive(std::move(task), std::move(done));
}
inline void start(
    Task<void> task, std::function<void()> done = [] {}) {
  task_detail::drive(std::move(task), std::move(done));
}

/// Waits for the task on this thread. For main programs and tests; never on a thread that the task
/// needs to make progress (session, transfer, executor).
template <class T>
T run_blocking(Task<T> task) {
  std::mutex mutex;
  std::condition_variable arrived;
  std::optional<T> value;
  start<T>(std::move(task), [&](T v) {
    std::lock_guard lock(mutex);
    value.emplace(std::move(v));
    arrived.notify_one();
  });
  std::unique_lock lock(mutex);
  arrived.wait(lock, [&] { return value.has_value(); });
  return std::move(*value);
}
inline void run_blocking(Task<void> task) {
  std::mutex mutex;
  std::condition_variable arrived;
  bool done = false;
  start(std::move(task), [&] {
    std::lock_guard lock(mutex);
    done = true;
    arrived.notify_one();
  });
  std::unique_lock lock(mutex);
  arrived.wait(lock, [&] { return done; });
}

/// A value that one side sets once, from any thread, and one coroutine awaits. The waiter is
/// resumed on the thread that calls set(). Copies share the same value.
template <class T>
class Completion {
 public:
  Completion() : state_(std::make_shared<State>()) {}

  /// The first call wins; later ones return false and change nothing.
  bool set(T value) const {
    std::coroutine_handle<> waiter;
    {
      std::lock_guard lock(state_->mutex);
      if (state_->value) return false;
      state_->value.emplace(std::move(value));
      waiter = std::exchange(state_->waiter, nullptr);
    }
    if (!waiter) return true;
    const RequestScope own(RequestId::current());  // the waiter works for its own request
    waiter.resume();
    return true;
  }
  bool is_set() const {
    std::lock_guard lock(state_->mutex);
    return state_->value.has_value();
  }

  auto operator co_await() const {
    struct Awaiter {
      std::shared_ptr<State> state;
      KeptRequest request;
      bool await_ready() const noexcept { return false; }
      bool await_suspend(std::coroutine_handle<> waiter) const {
        request.keep();
        std::lock_guard lock(state->mutex);
        if (state->value) return false;
        state->waiter = waiter;
        return true;
      }
      T await_resume() const {
        request.put_back();
        return std::move(*state->value);
      }
    };
    return Awaiter{state_, {}};
  }

 private:
  struct State {
    std::mutex mutex;
    std::optional<T> value;
    std::coroutine_handle<> waiter = nullptr;
  };
  std::shared_ptr<State> state_;
};

/// Runs all at once; the values come in the order of the tasks.
template <class T>
Task<std::vector<T>> when_all(std::vector<Task<T>> tasks) {
  struct State {
    std::vector<std::optional<T>> values;
    std::atomic<size_t> left;
    Completion<bool> all;
  };
  std::vector<T> out;
  if (tasks.empty()) co_return out;
  auto state = std::make_shared<State>();
  state->values.resize(tasks.size());
  state->left = tasks.size();
  for (size_t i = 0; i < tasks.size(); ++i) {
    start<T>(std::move(tasks[i]), [state, i](T value) {
      state->values[i].emplace(std::move(value));
      if (state->left.fetch_sub(1) == 1) state->all.set(true);
    });
  }
  co_await state->all;
  out.reserve(state->values.size());
  for (auto& value : state->values) out.push_back(std::move(*value));
  co_return out;
}

}  // namespace aster
