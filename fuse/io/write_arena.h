#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "fuse/io/dirty_budget.h"
#include "fuse/io/dirty_chunk.h"
#include "protocol/base/bytes.h"

namespace aster {

/// Memory for the unsent writes of one file: writes are packed one after the other into chunks,
/// wherever in the file they belong, so that many small ones share a chunk. The first chunk is as
/// small as the write (4 KiB at least), later ones grow to kBlockSize: ten thousand open files with
/// a little in each cost little. Used under the file's lock.
class WriteArena {
 public:
  WriteArena(std::shared_ptr<DirtyBudget> budget, BlockPool& pool)
      : budget_(std::move(budget)), pool_(pool) {}

  /// Copies `source`, whose size was acquired from the budget, and hands it out as pieces in order.
  void store(ByteView source, const std::function<void(DirtyPiece)>& take);
  /// `first` followed by `next` as one piece when both stand side by side in the current chunk;
  /// false otherwise.
  bool join(DirtyPiece& first, const DirtyPiece& next) const;
  /// The next write starts a new chunk, small again: this one's memory goes with its last piece.
  void seal() {
    chunk_.reset();
    next_capacity_ = kSmallestChunk;
  }

 private:
  static constexpr size_t kSmallestChunk = 4096;
  void new_chunk(size_t wanted);

  const std::shared_ptr<DirtyBudget> budget_;
  BlockPool& pool_;
  std::shared_ptr<DirtyChunk> chunk_;
  size_t next_capacity_ = kSmallestChunk;
};

}  // namespace aster
