#pragma once

#include <mutex>
#include <utility>

namespace aster {

/// A value that can be reached only while its mutex is held.
/// `auto state = guarded.lock(); state->field = 1;`
template <class T>
class Guarded {
 public:
  template <class... Args>
  explicit Guarded(Args&&... args) : value_(std::forward<Args>(args)...) {}

  class Lock {
   public:
    Lock(std::mutex& mutex, T& value) : lock_(mutex), value_(&value) {}
    T* operator->() const noexcept { return value_; }
    T& operator*() const noexcept { return *value_; }
    /// For std::condition_variable::wait.
    std::unique_lock<std::mutex>& native() noexcept { return lock_; }

   private:
    std::unique_lock<std::mutex> lock_;
    T* value_;
  };

  [[nodiscard]] Lock lock() { return Lock(mutex_, value_); }
  [[nodiscard]] Lock lock() const { return Lock(mutex_, const_cast<T&>(value_)); }

 private:
  mutable std::mutex mutex_;
  T value_;
};

}  // namespace aster
