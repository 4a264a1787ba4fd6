#include "cache/memory_block_cache.h"

#include <algorithm>
#include <list>
#include <mutex>
#include <unordered_map>

namespace aster {
namespace {

// List node, hash node, control block and malloc's own.
constexpr uint64_t kOverhead = 256;
// Few enough that a shard still holds some tens of blocks.
constexpr uint64_t kBytesPerShard = 8 << 20;
constexpr uint64_t kMaxShards = 16;

/// What an entry takes: a large one is taken for a whole pool block.
uint64_t cost_of(const Bytes& bytes) {
  const uint64_t memory = bytes.size() <= kBlockSize / 2 ? bytes.size() : kBlockSize;
  return std::max<uint64_t>(memory, bytes.size()) + kOverhead;
}

}  // namespace

class MemoryBlockCache::Shard {
 public:
  explicit Shard(uint64_t limit) : limit_(limit) {}

  std::optional<Bytes> get(const BlockKey& key, uint32_t crc32c) {
    std::lock_guard lock(mutex_);
    const auto found = entries_.find(key);
    if (found == entries_.end()) {
      ++stats_.misses;
      return std::nullopt;
    }
    const Position position = found->second;
    if (position->crc32c != crc32c) {
      erase(position);
      ++stats_.misses;
      ++stats_.corrupt;
      return std::nullopt;
    }
    ++stats_.hits;
    protect(position);
    return position->bytes;
  }

  bool contains(const BlockKey& key) const {
    std::lock_guard lock(mutex_);
    return entries_.count(key) != 0;
  }

  void put(const BlockKey& key, uint32_t crc32c, Bytes bytes) {
    const uint64_t cost = cost_of(bytes);
    std::lock_guard lock(mutex_);
    ++stats_.puts;
    if (cost > limit_) return;
    if (const auto found = entries_.find(key); found != entries_.end()) {
      if (found->second->crc32c == crc32c) return;
      erase(found->second);
    }
    make_room(cost);
    probation_.push_front({key, crc32c, std::move(bytes), cost, false});
    entries_.emplace(key, probation_.begin());
    used_ += cost;
  }

  void add_to(BlockCacheStats& total) const {
    std::lock_guard lock(mutex_);
    total.hits += stats_.hits;
    total.misses += stats_.misses;
    total.puts += stats_.puts;
    total.evicted_bytes += stats_.evicted_bytes;
    total.corrupt += stats_.corrupt;
    total.bytes += used_;
  }

 private:
  struct Entry {
    BlockKey key;
    uint32_t crc32c;
    Bytes bytes;
    uint64_t cost;
    bool is_protected;
  };
  using List = std::list<Entry>;  // the most recent in front
  using Position = List::iterator;

  void protect(Position position) {
    if (position->is_protected) {
      protected_.splice(protected_.begin(), protected_, position);
      return;
    }
    position->is_protected = true;
    protected_used_ += position->cost;
    protected_.splice(protected_.begin(), probation_, position);
    while (protected_used_ > limit_ / 5 * 4 && protected_.size() > 1) {
      const Position last = std::prev(protected_.end());
      last->is_protected = false;
      protected_used_ -= last->cost;
      probation_.splice(probation_.begin(), protected_, last);
    }
  }

  void make_room(uint64_t cost) {
    while (used_ + cost > limit_) {
      List& victims = probation_.empty() ? protected_ : probation_;
      stats_.evicted_bytes += victims.back().bytes.size();
      erase(std::prev(victims.end()));
    }
  }

  void erase(Position position) {
    used_ -= position->cost;
    entries_.erase(position->key);
    if (position->is_protected) {
      protected_used_ -= position->cost;
      protected_.erase(position);
    } else {
      probation_.erase(position);
    }
  }

  const uint64_t limit_;
  mutable std::mutex mutex_;
  // All below guarded by mutex_.
  std::unordered_map<BlockKey, Position> entries_;
  List probation_;
  List protected_;
  uint64_t used_ = 0;
  uint64_t protected_used_ = 0;
  BlockCacheStats stats_;
};

MemoryBlockCache::MemoryBlockCache(uint64_t limit_bytes) : limit_(limit_bytes) {
  const uint64_t count = std::clamp<uint64_t>(limit_bytes / kBytesPerShard, 1, kMaxShards);
  for (uint64_t i = 0; i < count; ++i) {
    shards_.push_back(std::make_unique<Shard>(limit_bytes / count));
  }
}

MemoryBlockCache::~MemoryBlockCache() = default;

MemoryBlockCache::Shard& MemoryBlockCache::shard(const BlockKey& key) const {
  // Other bits than the shard's hash table uses.
  const uint64_t mixed = std::hash<BlockKey>()(key) * 0x9E3779B97F4A7C15ull;
  return *shards_[(mixed >> 32) % shards_.size()];
}

std::optional<Bytes> MemoryBlockCache::get_from_memory(const BlockKey& key, uint32_t crc32c) {
  return shard(key).contains(key) ? get(key, crc32c) : std::nullopt;
}

std::optional<Bytes> MemoryBlockCache::get(const BlockKey& key, uint32_t crc32c) {
  return shard(key).get(key, crc32c);
}

bool MemoryBlockCache::contains(const BlockKey& key) const {
  return shard(key).contains(key);
}

void MemoryBlockCache::put(const BlockKey& key, uint32_t crc32c, Bytes bytes) {
  if (bytes.empty() || bytes.size() > kBlockSize) return;
  if (bytes.size() <= kBlockSize / 2) bytes = Bytes::copy_of(bytes.view());
  shard(key).put(key, crc32c, std::move(bytes));
}

BlockCacheStats MemoryBlockCache::stats() const {
  BlockCacheStats total;
  for (const auto& shard : shards_) shard->add_to(total);
  total.limit_bytes = limit_;
  return total;
}

}  // namespace aster
