#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "protocol/base/task.h"

namespace aster::primary {

/// A background duty: rounds on a thread of its own, every `period` or sooner when woken. Failed
/// rounds are logged and tried again with the next. The destructor stops.
class Duty {
 public:
  using Round = std::function<Task<Result<void>>()>;
  Duty(std::string name, Duration period, Round round)
      : name_(std::move(name)), period_(period), round_(std::move(round)) {}
  ~Duty() { stop(); }

  /// The first round runs at once.
  void start();
  /// Lets the round under way end, then joins.
  void stop();
  /// A round within `delay`. Cheap; may be called from anywhere, also when not started.
  void wake_within(Duration delay);

 private:
  void run(std::stop_token stop);

  const std::string name_;
  const Duration period_;
  const Round round_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  SteadyTime next_{};  // guarded by mutex_
  std::jthread thread_;
};

}  // namespace aster::primary
