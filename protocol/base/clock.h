#pragma once

#include <chrono>
#include <cstdint>

namespace aster {

using SteadyTime = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;

/// Time comes in by interface so that no test sleeps. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  /// Wall clock, nanoseconds since the Unix epoch.
  virtual int64_t now_ns() const = 0;
  /// Monotonic; for deadlines and ages.
  virtual SteadyTime steady() const = 0;
  /// Wall clock, whole seconds.
  int64_t now_seconds() const { return now_ns() / 1'000'000'000; }
};

/// The machine's clocks.
class SystemClock final : public Clock {
 public:
  int64_t now_ns() const override {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
  SteadyTime steady() const override { return std::chrono::steady_clock::now(); }
};

}  // namespace aster
