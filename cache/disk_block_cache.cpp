#include "cache/disk_block_cache.h"

#include <pthread.h>

#include "cache/block_store.h"
#include "cache/cache_directory.h"
#include "protocol/base/log.h"

namespace aster {

Result<std::unique_ptr<DiskBlockCache>> DiskBlockCache::open(DiskCacheOptions options,
                                                             BlockPool& pool, const Clock& clock,
                                                             FileLayer& files) {
  ASTER_TRY(CacheDirectory directory,
            CacheDirectory::open(options.directory, options.program, clock));
  ASTER_TRY(auto store,
            BlockStore::open(std::move(directory),
                             {options.limit_bytes, options.segment_bytes, options.program}, files,
                             clock));
  return std::unique_ptr<DiskBlockCache>(
      new DiskBlockCache(std::move(options), std::move(store), pool, clock));
}

DiskBlockCache::DiskBlockCache(DiskCacheOptions options, std::unique_ptr<BlockStore> store,
                               BlockPool& pool, const Clock& clock)
    : options_(std::move(options)),
      store_(std::move(store)),
      pool_(pool),
      clock_(clock),
      writer_([this] { write_loop(); }) {
  ::pthread_setname_np(writer_.native_handle(), "cache/writer");
}

DiskBlockCache::~DiskBlockCache() {
  queue_.lock()->stopping = true;
  changed_.notify_all();
  writer_.join();
}

std::optional<Bytes> DiskBlockCache::get_queued(const BlockKey& key, uint32_t crc32c) const {
  const auto queue = queue_.lock();
  const auto found = queue->blocks.find(key);
  if (found == queue->blocks.end() || found->second.crc32c != crc32c) return std::nullopt;
  return found->second.bytes;
}

std::optional<Bytes> DiskBlockCache::get(const BlockKey& key, uint32_t crc32c) {
  if (auto queued = get_queued(key, crc32c)) {
    ++hits_;
    return queued;
  }
  auto found = store_->find(key, crc32c, pool_);
  if (found.ok()) {
    ++hits_;
    return std::move(*found);
  }
  ++misses_;
  if (found.failed_with(Errc::not_found)) return std::nullopt;
  if (found.failed_with(Errc::corrupt)) {
    ++corrupt_;
    ASTER_LOG(debug, "cache_block_corrupt", {"err", found.error()});
  } else if (!found.failed_with(Errc::unsupported)) {
    ++read_errors_;
    pause(found.error());
  }
  return std::nullopt;
}

bool DiskBlockCache::contains(const BlockKey& key) const {
  if (queue_.lock()->blocks.count(key) != 0) return true;
  return store_->may_contain(key);
}

void DiskBlockCache::put(const BlockKey& key, uint32_t crc32c, Bytes bytes) {
  if (bytes.empty() || bytes.size() > kBlockSize) return;
  ++puts_;
  if (paused()) {
    ++dropped_;
    return;
  }
  {
    auto queue = queue_.lock();
    if (queue->bytes + bytes.size() > options_.queue_bytes) {
      ++dropped_;
      return;
    }
    const uint64_t size = bytes.size();
    if (!queue->blocks.try_emplace(key, Queued{crc32c, std::move(bytes)}).second) return;
    queue->bytes += size;
    queue->order.push_back(key);
  }
  changed_.notify_all();
}

void DiskBlockCache::drain() {
  auto queue = queue_.lock();
  changed_.wait(queue.native(), [&] { return queue->blocks.empty(); });
}

DiskBlockCache::Batch DiskBlockCache::take_batch(Queue& queue) {
  Batch batch;
  uint64_t size = 0;
  while (!queue.order.empty() && batch.size() < SegmentStore::kMaxAppendBlocks) {
    const auto found = queue.blocks.find(queue.order.front());
    size += block_format::record_size(found->second.bytes.size());
    if (size > SegmentStore::kMaxAppendBytes) break;
    batch.emplace_back(*found);
    queue.order.pop_front();
  }
  return batch;
}

void DiskBlockCache::write_loop() {
  if (auto trimmed = store_->trim(); !trimmed.ok()) pause(trimmed.error());
  for (;;) {
    Batch batch;
    {
      auto queue = queue_.lock();
      changed_.wait(queue.native(), [&] { return queue->stopping || !queue->order.empty(); });
      if (queue->order.empty()) return;
      batch = take_batch(*queue);
    }
    write_batch(batch);
    {
      auto queue = queue_.lock();
      for (const auto& [key, block] : batch) {
        queue->bytes -= block.bytes.size();
        queue->blocks.erase(key);
      }
    }
    changed_.notify_all();
  }
}

void DiskBlockCache::write_batch(const Batch& batch) {
  if (paused()) {
    dropped_ += batch.size();
    return;
  }
  if (paused_until_ != 0) {
    // The pause is over. Whether the index can write again shows in the insert.
    if (auto resumed = store_->resume(); !resumed.ok()) {
      ASTER_LOG(debug, "cache_index_not_resumed", {"err", resumed.error()});
    }
  }
  std::vector<BlockToStore> blocks;
  for (const auto& [key, block] : batch) blocks.push_back({key, block.crc32c, block.bytes.view()});
  const auto inserted = store_->insert(blocks);
  if (inserted.ok()) return go_on();
  dropped_ += batch.size();
  pause(inserted.error());
}

bool DiskBlockCache::paused() const {
  const int64_t until = paused_until_;
  return until != 0 && clock_.steady().time_since_epoch().count() < until;
}

void DiskBlockCache::pause(const Error& why) {
  const Duration until = clock_.steady().time_since_epoch() + Duration(options_.pause);
  if (paused_until_.exchange(until.count()) == 0) {
    ASTER_LOG(warn, "cache_paused", {"err", why}, {"seconds", options_.pause.count()});
  }
}

void DiskBlockCache::go_on() {
  if (paused_until_ != 0 && !paused()) {
    paused_until_ = 0;
    ASTER_LOG(info, "cache_resumed");
  }
}

BlockCacheStats DiskBlockCache::stats() const {
  BlockCacheStats stats;
  stats.hits = hits_;
  stats.misses = misses_;
  stats.puts = puts_;
  stats.corrupt = corrupt_;
  stats.evicted_bytes = store_->evicted_bytes();
  stats.bytes = store_->bytes();
  stats.limit_bytes = options_.limit_bytes;
  return stats;
}

DiskBlockCache::DiskStats DiskBlockCache::disk_stats() const {
  DiskStats stats;
  stats.dropped_puts = dropped_;
  stats.read_errors = read_errors_;
  stats.segments = store_->segment_count();
  stats.index_bytes = store_->index_bytes();
  stats.paused = paused();
  return stats;
}

}  // namespace aster
