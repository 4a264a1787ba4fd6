#pragma once

#include <cstdint>
#include <optional>

#include "protocol/base/bytes.h"
#include "protocol/base/ids.h"

namespace aster {

/// Block `index` of an object covers its bytes [index * kBlockSize, ... + kBlockSize), fewer at the
/// object's end.
struct BlockKey {
  ObjectId object;
  uint32_t index = 0;
  friend auto operator<=>(const BlockKey&, const BlockKey&) = default;
};

struct BlockCacheStats {
  uint64_t hits = 0;
  uint64_t misses = 0;
  uint64_t puts = 0;
  uint64_t evicted_bytes = 0;
  uint64_t corrupt = 0;  ///< blocks dropped because their checksum did not match
  uint64_t bytes = 0;    ///< what the cache takes now, by its own limit's measure
  uint64_t limit_bytes = 0;
};

/// Keeps verified blocks of immutable objects. Thread-safe. Objects never change, so a block never
/// goes stale.
class BlockCache {
 public:
  virtual ~BlockCache() = default;
  /// The block's bytes, checked against `crc32c` (the checksum the manifest names), or a miss.
  /// A corrupt or unreadable block is dropped, counted, and is a miss. May read the local disk.
  virtual std::optional<Bytes> get(const BlockKey& key, uint32_t crc32c) = 0;
  /// Like get(), but only what is in memory: never touches the disk. For threads that must not
  /// wait. A miss here says nothing about get(), and is not counted.
  virtual std::optional<Bytes> get_from_memory(const BlockKey& key, uint32_t crc32c) {
    static_cast<void>(key);
    static_cast<void>(crc32c);
    return std::nullopt;
  }
  /// True when get() would probably hit; touches no disk.
  virtual bool contains(const BlockKey& key) const = 0;
  /// Best effort: never fails a read, never exceeds the limit. The caller has verified the bytes.
  virtual void put(const BlockKey& key, uint32_t crc32c, Bytes bytes) = 0;
  virtual BlockCacheStats stats() const = 0;
};

}  // namespace aster

template <>
struct std::hash<aster::BlockKey> {
  size_t operator()(const aster::BlockKey& key) const noexcept {
    return std::hash<aster::ObjectId>()(key.object) ^ (key.index * 0x9E3779B97F4A7C15ull);
  }
};
