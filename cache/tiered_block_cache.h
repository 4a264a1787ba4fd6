#pragma once

#include <atomic>
#include <cstdint>

#include "cache/block_cache.h"

namespace aster {

/// A fast cache over a large one. Blocks go into both; one that is found only in the large one is
/// copied up. Either may fail to keep a block. Statistics: a hit in either is a hit, a miss is one
/// in both; bytes and limits are sums; evicted bytes are those that left the large one.
class TieredBlockCache final : public BlockCache {
 public:
  /// Both must outlive this.
  TieredBlockCache(BlockCache& fast, BlockCache& large) : fast_(fast), large_(large) {}

  std::optional<Bytes> get(const BlockKey& key, uint32_t crc32c) override;
  std::optional<Bytes> get_from_memory(const BlockKey& key, uint32_t crc32c) override {
    return fast_.get_from_memory(key, crc32c);
  }
  bool contains(const BlockKey& key) const override;
  void put(const BlockKey& key, uint32_t crc32c, Bytes bytes) override;
  BlockCacheStats stats() const override;

 private:
  BlockCache& fast_;
  BlockCache& large_;
  std::atomic<uint64_t> puts_{0};
};

}  // namespace aster
