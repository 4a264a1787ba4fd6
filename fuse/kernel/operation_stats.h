#pragma once

#include <array>
#include <atomic>
#include <map>
#include <string>

#include "protocol/base/clock.h"
#include "protocol/base/metrics.h"

namespace aster {

/// How often each operation of the kernel was served, how often it failed, and how long it took.
/// Thread-safe; recording takes no lock and some nanoseconds.
class OperationStats {
 public:
  /// `operation` must live as long as this (a literal).
  void record(const char* operation, Duration took, bool failed);

  /// One line per operation that was served, by name, after a line of headings; tab-separated.
  /// Times are microseconds; percentiles are the upper ends of their power-of-two classes.
  std::string table() const;
  /// The same for Prometheus, in seconds.
  void write(metrics::Exposition& out) const;

 private:
  // Class 0 is below 1 us, class n below 2^n us; the last one takes the rest (over an hour).
  static constexpr size_t kClasses = 33;
  static constexpr size_t kSlots = 64;  // over twice the operations of FUSE
  struct Slot {
    std::atomic<const char*> operation{nullptr};
    std::atomic<uint64_t> failed{0};
    std::atomic<uint64_t> total_ns{0};
    std::atomic<uint64_t> longest_ns{0};
    std::array<std::atomic<uint64_t>, kClasses> classes{};
  };
  struct Sum;
  std::map<std::string, Sum> sums() const;

  /// Null when more than kSlots different names came.
  Slot* slot_of(const char* operation);

  std::array<Slot, kSlots> slots_;
};

}  // namespace aster
