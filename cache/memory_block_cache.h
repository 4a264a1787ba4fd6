#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "cache/block_cache.h"

namespace aster {

/// Segmented LRU in memory, cut into shards by key. A new block is on probation and leaves first; a
/// block that was read again is protected (at most 4/5 of the memory), so reading something large
/// once does not push out what is in use.
///
/// Keeps the memory that a block shares: hand in blocks of their own (BlockPool), not slices of
/// larger buffers. Blocks of half size or less are copied, so that a short one does not pin a whole
/// pool block. Bytes in memory are trusted: get() compares checksums, it does not compute them.
class MemoryBlockCache final : public BlockCache {
 public:
  /// Nothing is kept when the limit is below one block and its overhead.
  explicit MemoryBlockCache(uint64_t limit_bytes);
  ~MemoryBlockCache() override;

  std::optional<Bytes> get(const BlockKey& key, uint32_t crc32c) override;
  std::optional<Bytes> get_from_memory(const BlockKey& key, uint32_t crc32c) override;
  bool contains(const BlockKey& key) const override;
  void put(const BlockKey& key, uint32_t crc32c, Bytes bytes) override;
  BlockCacheStats stats() const override;

 private:
  class Shard;
  Shard& shard(const BlockKey& key) const;

  const uint64_t limit_;
  std::vector<std::unique_ptr<Shard>> shards_;
};

}  // namespace aster
