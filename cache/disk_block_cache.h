#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "cache/block_cache.h"
#include "cache/file_layer.h"
#include "protocol/base/clock.h"
#include "protocol/base/guarded.h"
#include "protocol/base/result.h"

namespace aster {

class BlockStore;

struct DiskCacheOptions {
  std::filesystem::path directory;     ///< created when missing, private to its owner
  uint64_t limit_bytes = 10ull << 30;  ///< all files together; 16 MiB at least
  uint64_t segment_bytes = 0;          ///< 0: chosen by the limit, 256 MiB at most to 256 GiB
  uint64_t queue_bytes = 32 << 20;     ///< blocks on their way to the disk; beyond, puts drop
  std::chrono::seconds pause{30};      ///< no inserts for so long after a failed one
  std::string program = "aster/" ASTER_VERSION;  ///< named in file headers
};

/// Keeps blocks in files (layout: block_format.h) across restarts and crashes. put() queues the
/// block for a thread that the cache owns and returns; until it is written get() finds it in the
/// queue. A disk that is full or broken makes misses, one log line, and a pause of inserting.
/// Opening starts threads: never before a daemonising fork.
class DiskBlockCache final : public BlockCache {
 public:
  /// Errors of CacheDirectory::open and BlockStore::open. `pool`, `clock` and `files` must outlive
  /// the cache.
  static Result<std::unique_ptr<DiskBlockCache>> open(DiskCacheOptions options, BlockPool& pool,
                                                      const Clock& clock,
                                                      FileLayer& files = system_files());
  /// Writes what is queued, then closes.
  ~DiskBlockCache() override;

  std::optional<Bytes> get(const BlockKey& key, uint32_t crc32c) override;
  bool contains(const BlockKey& key) const override;
  void put(const BlockKey& key, uint32_t crc32c, Bytes bytes) override;
  BlockCacheStats stats() const override;

  /// Waits until everything put before the call is written or dropped.
  void drain();

  struct DiskStats {
    uint64_t dropped_puts = 0;  ///< queue full, inserting paused, or the insert failed
    uint64_t read_errors = 0;
    uint64_t segments = 0;
    uint64_t index_bytes = 0;
    bool paused = false;
  };
  DiskStats disk_stats() const;

 private:
  struct Queued {
    uint32_t crc32c = 0;
    Bytes bytes;
  };
  struct Queue {
    std::deque<BlockKey> order;
    std::unordered_map<BlockKey, Queued> blocks;  ///< those in `order` and those being written
    uint64_t bytes = 0;
    bool stopping = false;
  };
  using Batch = std::vector<std::pair<BlockKey, Queued>>;

  DiskBlockCache(DiskCacheOptions options, std::unique_ptr<BlockStore> store, BlockPool& pool,
                 const Clock& clock);
  void write_loop();
  static Batch take_batch(Queue& queue);
  void write_batch(const Batch& batch);
  std::optional<Bytes> get_queued(const BlockKey& key, uint32_t crc32c) const;
  bool paused() const;
  void pause(const Error& why);
  void go_on();

  const DiskCacheOptions options_;
  const std::unique_ptr<BlockStore> store_;
  BlockPool& pool_;
  const Clock& clock_;
  Guarded<Queue> queue_;
  std::condition_variable changed_;
  std::atomic<int64_t> paused_until_{0};  ///< steady clock, ns; 0: not paused
  std::atomic<uint64_t> hits_{0};
  std::atomic<uint64_t> misses_{0};
  std::atomic<uint64_t> puts_{0};
  std::atomic<uint64_t> corrupt_{0};
  std::atomic<uint64_t> dropped_{0};
  std::atomic<uint64_t> read_errors_{0};
  std::thread writer_;
};

}  // namespace aster
