#pragma once

#include <coroutine>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "cache/block_cache.h"
#include "fuse/io/io_context.h"
#include "protocol/base/bytes.h"
#include "protocol/base/task.h"
#include "protocol/fs/messages.h"

namespace aster {

using ObjectAccessPtr = std::shared_ptr<const fs::ObjectAccess>;

/// Bytes of block `index` of the object: kBlockSize, fewer for the last.
uint64_t block_length(const fs::ObjectAccess& object, uint32_t index);

/// A run of blocks of one object that is being fetched with one GET. Each block is settled on its
/// own, as soon as its bytes are there and verified. Thread-safe; any number may wait.
class BlockFetch {
 public:
  BlockFetch(ObjectAccessPtr object, uint32_t first, uint32_t count, bool prefetch);

  const ObjectAccessPtr object;
  const uint32_t first;
  const uint32_t count;
  const bool prefetch;
  bool holds(const BlockKey& key) const {
    return key.object == object->id && key.index >= first && key.index - first < count;
  }
  uint64_t bytes() const;

  /// The block, or why it cannot be had; nullopt while it is under way.
  std::optional<Result<Bytes>> peek(uint32_t index) const;
  /// Awaits the block; goes on on the executor when it had to wait.
  auto wait(uint32_t index) {
    struct Awaiter {
      BlockFetch& fetch;
      uint32_t slot;
      KeptRequest request;
      bool await_ready() const noexcept { return false; }
      bool await_suspend(std::coroutine_handle<> waiter) {
        request.keep();
        return fetch.enlist(slot, waiter);
      }
      Result<Bytes> await_resume() const {
        request.put_back();
        return *fetch.slots_[slot].outcome;
      }
    };
    return Awaiter{*this, index - first, {}};
  }
  /// The first outcome stays.
  void settle(uint32_t index, Result<Bytes> outcome, Executor& executor);

 private:
  struct Slot {
    std::optional<Result<Bytes>> outcome;  // never changes once it is there
    std::vector<std::coroutine_handle<>> waiters;
  };
  bool enlist(uint32_t slot, std::coroutine_handle<> waiter);

  mutable std::mutex mutex_;
  std::vector<Slot> slots_;
};

using BlockFetchPtr = std::shared_ptr<BlockFetch>;

/// Fetches blocks from followers: one fetch per block however many want it, checksums verified,
/// what arrived goes to the cache. Thread-safe.
class BlockFetcher {
 public:
  explicit BlockFetcher(std::shared_ptr<IoContext> context) : context_(std::move(context)) {}

  /// The fetch that has this block under way (or just finished it well).
  BlockFetchPtr find(const BlockKey& key) const;
  /// Makes the caller responsible for blocks `first` .. of the object: for as many of `count` as
  /// nobody has under way and the cache has not got, at least one; nullptr when that is not so for
  /// the first. Then call run().
  struct ClaimOptions {
    bool prefetch = false;
    bool even_if_cached = false;
  };
  BlockFetchPtr claim(ObjectAccessPtr object, uint32_t first, uint32_t count, ClaimOptions options);
  /// Fetches in the background. Every block is settled in the end, with not_found when the URL is
  /// not (or no longer) good for the object, corrupt when it twice came with a wrong checksum.
  /// `owner` lives as long as the fetch.
  void run(BlockFetchPtr fetch, SteadyTime deadline, std::shared_ptr<const void> owner = {});

 private:
  Task<void> work(BlockFetchPtr fetch, SteadyTime deadline, std::shared_ptr<const void> owner);
  Task<Result<void>> get_in_turn(BlockFetchPtr fetch, SteadyTime deadline);
  Task<void> fetch_again(BlockFetchPtr fetch, uint32_t index, SteadyTime deadline);
  void finish(const BlockFetchPtr& fetch);

  const std::shared_ptr<IoContext> context_;
  Guarded<std::unordered_map<BlockKey, BlockFetchPtr>> under_way_;
};

}  // namespace aster
