#pragma once

#include <memory>
#include <vector>

#include "fuse/io/block_fetch.h"
#include "fuse/io/prefetcher.h"
#include "fuse/io/read_plan.h"

namespace aster {

/// Turns planned reads into bytes: read-ahead, cache, fetches under way, and at last GETs of the
/// missing blocks, neighbours together. Thread-safe.
class BlockReader {
 public:
  explicit BlockReader(std::shared_ptr<IoContext> context)
      : context_(std::move(context)), fetcher_(context_) {}

  /// Where the bytes of a read come from, in the order of blocks_of(slices).
  struct Sources {
    struct Block {
      std::optional<Bytes> bytes;
      BlockFetchPtr fetch;
      BlockNeed need;
    };
    std::vector<Block> blocks;
    std::vector<ReadSlice> slices;
    bool on_disk = false;                    ///< the cache has some, but not in memory
    std::optional<uint64_t> needs_manifest;  ///< a URL is missing or expires; file offset
  };

  /// Finds what is in memory or under way; touches no disk and waits for nothing.
  Sources look_up(std::vector<ReadSlice> slices, ReadAhead* ahead);
  /// Reads from the cache's disk what look_up() could not.
  void read_disk(Sources& sources);
  /// Starts GETs for what is still missing. Sets needs_manifest instead where that is impossible.
  void fetch_missing(Sources& sources, SteadyTime deadline, bool urls_are_fresh);
  /// Awaits all fetches and puts the answer together. Fails as BlockFetcher::run says.
  /// `retry_at_once` is set when only a read-ahead failed, not a fetch of this read.
  Task<Result<std::vector<Bytes>>> collect(Sources sources, bool* retry_at_once);

  /// Starts read-ahead of these slices in GETs of up to `piece` bytes. Returns the file offset up
  /// to which everything is under way, cached or needs no fetch.
  uint64_t prefetch(const std::vector<ReadSlice>& slices, uint64_t end, uint64_t piece,
                    const std::shared_ptr<ReadAhead>& ahead);

 private:
  void hold_other(const BlockNeed& need, ReadAhead& ahead);
  bool url_is_good(const fs::ObjectAccess& object, bool fresh) const;

  const std::shared_ptr<IoContext> context_;
  BlockFetcher fetcher_;
};

}  // namespace aster
