#pragma once

#include <condition_variable>
#include <mutex>

#include "protocol/base/task.h"

namespace aster::storage {

/// Tasks that nobody awaits. The destructor waits for all of them, so it must go before what they
/// use, and each must end by itself. Thread-safe.
class TaskGroup {
 public:
  TaskGroup() = default;
  ~TaskGroup() {
    std::unique_lock lock(mutex_);
    none_.wait(lock, [this] { return running_ == 0; });
  }
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  /// Runs it on this thread until it first waits.
  void spawn(Task<void> task) {
    {
      std::lock_guard lock(mutex_);
      ++running_;
    }
    start(std::move(task), [this] {
      // Under the lock: the destructor may end as soon as it is free.
      std::lock_guard lock(mutex_);
      if (--running_ == 0) none_.notify_all();
    });
  }

 private:
  std::mutex mutex_;
  std::condition_variable none_;
  size_t running_ = 0;
};

}  // namespace aster::storage
