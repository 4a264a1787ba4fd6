#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "protocol/base/clock.h"

/// Figures for Prometheus. Counting is a relaxed addition; everything else happens when somebody
/// asks for the text.
namespace aster::metrics {

/// Only ever grows. Thread-safe.
class Counter {
 public:
  void add(uint64_t amount = 1) noexcept { value_.fetch_add(amount, std::memory_order_relaxed); }
  uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

/// How often a value fell below each of some bounds. Thread-safe; a reader may see a value in the
/// sum that is not in a bucket yet.
class Histogram {
 public:
  static constexpr size_t kBucketsMax = 20;
  /// Upper bounds, inclusive, ascending, kBucketsMax at most; they outlive it. Values and bounds
  /// are whole numbers, shown multiplied by `unit`.
  Histogram(std::span<const uint64_t> bounds, double unit) : bounds_(bounds), unit_(unit) {}

  void observe(uint64_t value) noexcept {
    size_t i = 0;
    while (i < bounds_.size() && value > bounds_[i]) ++i;
    buckets_[i].fetch_add(1, std::memory_order_relaxed);
    sum_.fetch_add(value, std::memory_order_relaxed);
  }
  std::span<const uint64_t> bounds() const { return bounds_; }
  double unit() const { return unit_; }
  /// Of one bucket alone; `bounds().size()` is what lies above all bounds.
  uint64_t bucket(size_t i) const { return buckets_[i].load(std::memory_order_relaxed); }
  uint64_t sum() const { return sum_.load(std::memory_order_relaxed); }

 private:
  const std::span<const uint64_t> bounds_;
  const double unit_;
  std::array<std::atomic<uint64_t>, kBucketsMax + 1> buckets_{};
  std::atomic<uint64_t> sum_{0};
};

/// Seconds, from 100 us to 30 s.
class TimeHistogram : public Histogram {
 public:
  TimeHistogram();
  void observe(Duration took) noexcept {
    Histogram::observe(took.count() < 0 ? 0 : static_cast<uint64_t>(took.count()));
  }
};

/// Numbers of things, from 1 to 1024.
class SizeHistogram : public Histogram {
 public:
  SizeHistogram();
};

using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

/// The text format of Prometheus, version 0.0.4. Samples of one name must follow one another.
class Exposition {
 public:
  static constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";

  /// Every sample gets the label `common`, such as {"mountpoint", "/mnt"}, unless it is empty.
  explicit Exposition(std::pair<std::string, std::string> common = {})
      : common_(std::move(common)) {}

  void counter(std::string_view name, std::string_view help, Labels labels, uint64_t value);
  void counter(std::string_view name, std::string_view help, Labels labels,
               const Counter& counter) {
    this->counter(name, help, labels, counter.value());
  }
  void gauge(std::string_view name, std::string_view help, Labels labels, double value);
  void histogram(std::string_view name, std::string_view help, Labels labels,
                 const Histogram& histogram);
  /// Percentiles 50, 90 and 99 that somebody else has reckoned.
  struct Summary {
    double p50 = 0;
    double p90 = 0;
    double p99 = 0;
    double sum = 0;
    uint64_t count = 0;
  };
  void summary(std::string_view name, std::string_view help, Labels labels, const Summary& figures);
  /// What every program tells of itself: build, start, memory, descriptors, processor time.
  void process(std::string_view program);

  std::string take() { return std::move(text_); }

 private:
  void describe(std::string_view name, std::string_view help, std::string_view type);
  /// `last`: one more label.
  void sample(std::string_view name, std::string_view suffix, Labels labels,
              std::pair<std::string_view, std::string_view> last, std::string_view value);

  const std::pair<std::string, std::string> common_;
  std::string text_;
  std::string last_;
};

}  // namespace aster::metrics
