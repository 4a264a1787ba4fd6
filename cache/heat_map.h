#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <vector>

#include "cache/block_format.h"

namespace aster {

/// Counts recent reads of blocks, roughly: blocks share counters by hash, so it stays small and a
/// read costs no lock and no write to the index. Thread-safe.
class HeatMap {
 public:
  /// For about `blocks` blocks; one byte each at least, 8 MiB at most.
  explicit HeatMap(uint64_t blocks)
      : counters_(std::bit_ceil(std::clamp<uint64_t>(2 * blocks, 4096, 8 << 20))) {}

  void touch(const BlockKey& key) noexcept {
    std::atomic<uint8_t>& counter = at(key);
    const uint8_t now = counter.load(std::memory_order_relaxed);
    if (now < block_format::kMaxHeat) counter.store(now + 1, std::memory_order_relaxed);
  }
  uint8_t peek(const BlockKey& key) const noexcept {
    return at(key).load(std::memory_order_relaxed);
  }
  /// The block starts anew.
  void clear(const BlockKey& key) noexcept { at(key).store(0, std::memory_order_relaxed); }

 private:
  std::atomic<uint8_t>& at(const BlockKey& key) const noexcept {
    return counters_[std::hash<BlockKey>()(key) & (counters_.size() - 1)];
  }

  mutable std::vector<std::atomic<uint8_t>> counters_;
};

}  // namespace aster
