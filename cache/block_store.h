#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "cache/block_index.h"
#include "cache/cache_directory.h"
#include "cache/heat_map.h"
#include "cache/segment_store.h"
#include "protocol/base/guarded.h"

namespace aster {

/// The cache on disk without its queue: segments, their index, and the rule who has to leave.
///
/// Eviction is first in, first out by whole segments; a block that was read since it was written is
/// written again at the end instead, so what is used stays and a scan of something large passes
/// through. To make room at most one segment is kept whole; of the next ones half at most, the
/// hottest blocks first.
class BlockStore {
 public:
  /// Smaller limits would leave no room for data beside the index.
  static constexpr uint64_t kMinLimit = 16 << 20;

  struct Options {
    uint64_t limit_bytes = 0;    ///< of all files together, index included
    uint64_t segment_bytes = 0;  ///< 0: chosen by the limit
    std::string program;
  };
  /// bad_request for a limit below kMinLimit. Reads no block: takes milliseconds at any size.
  static Result<std::unique_ptr<BlockStore>> open(CacheDirectory directory, Options options,
                                                  FileLayer& files, const Clock& clock);

  /// Any thread. not_found: a miss. corrupt: the block did not match and was forgotten.
  /// io_error: the disk or the index failed.
  Result<Bytes> find(const BlockKey& key, uint32_t crc32c, BlockPool& pool);
  bool may_contain(const BlockKey& key) const { return index_->may_contain(key); }
  /// Any thread. Disk space of all files.
  uint64_t bytes() const noexcept;
  uint64_t evicted_bytes() const noexcept { return evicted_bytes_; }
  size_t segment_count() const { return segments_->count(); }
  uint64_t index_bytes() const noexcept { return index_->disk_bytes(); }

  /// The rest is for one thread, the writer. At most SegmentStore::kMaxAppendBlocks blocks and
  /// kMaxAppendBytes of records; those that are there already are skipped. On failure none is.
  Result<void> insert(std::span<const BlockToStore> blocks);
  /// Evicts until the limit is kept; for a limit that is smaller than in the last run.
  Result<void> trim() { return make_room(0); }
  /// After a failure: lets the index write again if it can.
  Result<void> resume() { return index_->resume(); }

 private:
  struct Survivor {
    BlockKey key;
    block_format::Location where;
  };

  BlockStore(CacheDirectory directory, Options options);
  Result<void> open_index();
  void refuse_segment(uint64_t segment, const Error& why);
  Result<void> drop_refused();
  bool present(const BlockToStore& block) const;
  Result<void> make_room(uint64_t incoming);
  Result<uint64_t> evict(uint64_t segment, uint64_t keep_at_most);
  std::vector<Survivor> sort_out(uint64_t segment);
  static size_t group_length(std::span<const Survivor> survivors);
  uint64_t reinsert(std::vector<Survivor> hot, uint64_t budget);
  uint64_t copy_group(std::span<const Survivor> group, std::vector<BlockKey>& gone);
  Result<uint64_t> append_again(std::span<const Survivor> group, std::span<const Bytes> bytes);
  void forget(std::vector<BlockKey>& keys);

  const CacheDirectory directory_;
  const Options options_;
  std::unique_ptr<SegmentStore> segments_;
  std::unique_ptr<BlockIndex> index_;
  HeatMap heat_;
  BlockPool copy_pool_;
  std::atomic<uint64_t> evicted_bytes_{0};
  std::atomic<bool> condemned_{false};
  uint64_t appends_ = 0;  ///< writer only
  Guarded<std::set<uint64_t>> refused_;
};

}  // namespace aster
