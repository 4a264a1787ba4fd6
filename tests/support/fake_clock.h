#pragma once

#include <atomic>
#include <chrono>

#include "protocol/base/clock.h"

namespace aster::testing {

/// Stands still until advance() moves it. Thread-safe.
class FakeClock final : public Clock {
 public:
  /// Starts at `wall_ns` nanoseconds since the Unix epoch (2023-11-14 unless given).
  explicit FakeClock(int64_t wall_ns = 1'700'000'000'000'000'000) : start_ns_(wall_ns) {}

  int64_t now_ns() const override { return start_ns_ + elapsed_ns_.load(); }
  SteadyTime steady() const override {
    return SteadyTime(std::chrono::hours(1) + std::chrono::nanoseconds(elapsed_ns_.load()));
  }
  /// Moves both clocks.
  void advance(std::chrono::nanoseconds by) { elapsed_ns_ += by.count(); }

 private:
  const int64_t start_ns_;
  std::atomic<int64_t> elapsed_ns_{0};
};

}  // namespace aster::testing
