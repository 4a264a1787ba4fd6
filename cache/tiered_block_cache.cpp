#include "cache/tiered_block_cache.h"

namespace aster {

std::optional<Bytes> TieredBlockCache::get(const BlockKey& key, uint32_t crc32c) {
  if (auto bytes = fast_.get(key, crc32c)) return bytes;
  auto bytes = large_.get(key, crc32c);
  if (bytes) fast_.put(key, crc32c, *bytes);
  return bytes;
}

bool TieredBlockCache::contains(const BlockKey& key) const {
  return fast_.contains(key) || large_.contains(key);
}

void TieredBlockCache::put(const BlockKey& key, uint32_t crc32c, Bytes bytes) {
  ++puts_;
  fast_.put(key, crc32c, bytes);
  large_.put(key, crc32c, std::move(bytes));
}

BlockCacheStats TieredBlockCache::stats() const {
  const BlockCacheStats fast = fast_.stats();
  BlockCacheStats total = large_.stats();
  total.hits += fast.hits;
  total.puts = puts_;
  total.corrupt += fast.corrupt;
  total.bytes += fast.bytes;
  total.limit_bytes += fast.limit_bytes;
  return total;
}

}  // namespace aster
