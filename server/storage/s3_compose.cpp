#include "server/storage/s3_compose.h"

#include <algorithm>
#include <numeric>

namespace aster::storage {
namespace {

class Planner {
 public:
  Planner(S3PartLimits limits, uint64_t total) : limits_(limits), left_(total) {
    // So that the steps are never more than the service takes.
    const uint64_t fair = total / std::max<size_t>(1, limits.most_parts - 1) + 1;
    limits_.smallest = std::max(limits_.smallest, fair);
    limits_.largest_copy = std::max(limits_.largest_copy, 2 * limits_.smallest);
  }

  void add(size_t source, uint64_t size) {
    uint64_t at = 0;
    if (!small_.ranges.empty()) at = gather(source, 0, std::min(size, wanted()));
    while (at < size && (size - at >= limits_.smallest || size - at == left_)) {
      const uint64_t length = copy_length(size - at);
      steps_.push_back({.ranges = {{source, at, length}}, .copy = true});
      at += length;
      left_ -= length;
    }
    if (at < size) gather(source, at, size - at);
  }

  std::vector<S3ComposeStep> finish() {
    flush();
    return std::move(steps_);
  }

 private:
  uint64_t wanted() const { return limits_.smallest - small_length_; }

  /// A rest is never too small to be copied as well.
  uint64_t copy_length(uint64_t size) const {
    if (size <= limits_.largest_copy) return size;
    return std::min(limits_.largest_copy, size - limits_.smallest);
  }

  uint64_t gather(size_t source, uint64_t offset, uint64_t length) {
    small_.ranges.push_back({source, offset, length});
    small_length_ += length;
    left_ -= length;
    if (small_length_ >= limits_.smallest) flush();
    return length;
  }

  void flush() {
    if (!small_.ranges.empty()) steps_.push_back(std::move(small_));
    small_ = {};
    small_length_ = 0;
  }

  S3PartLimits limits_;
  uint64_t left_;  ///< bytes in no step yet
  S3ComposeStep small_;
  uint64_t small_length_ = 0;
  std::vector<S3ComposeStep> steps_;
};

}  // namespace

uint64_t S3ComposeStep::length() const {
  uint64_t sum = 0;
  for (const Range& range : ranges) sum += range.length;
  return sum;
}

std::vector<S3ComposeStep> plan_s3_compose(const std::vector<uint64_t>& sizes,
                                           S3PartLimits limits) {
  Planner planner(limits, std::accumulate(sizes.begin(), sizes.end(), uint64_t{0}));
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] > 0) planner.add(i, sizes[i]);
  }
  return planner.finish();
}

}  // namespace aster::storage
