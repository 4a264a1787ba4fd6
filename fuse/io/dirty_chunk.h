#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "cache/spill_file.h"
#include "fuse/io/dirty_budget.h"
#include "protocol/base/bytes.h"

namespace aster {

/// A piece of memory with unsent writes, or the place on disk where they went for want of memory.
/// States: open (the arena puts more into it) -> closed -> spilled. The bytes never change once
/// they are written, so whoever holds a chunk sees the same in every state. Thread-safe.
///
/// What is in memory counts in the budget: bytes that were acquired before and go back when the
/// chunk is spilled or its last owner goes.
class DirtyChunk {
 public:
  /// `memory` is all of it; `writable` its beginning.
  static std::shared_ptr<DirtyChunk> make(std::shared_ptr<DirtyBudget> budget, Bytes memory,
                                          std::byte* writable);
  ~DirtyChunk();
  DirtyChunk(const DirtyChunk&) = delete;
  DirtyChunk& operator=(const DirtyChunk&) = delete;

  /// Takes as much of `source` as fits; how much. 0 when it is full or closed.
  size_t append(ByteView source);
  size_t used() const;

  /// nullopt when it is spilled.
  std::optional<Bytes> in_memory(uint64_t offset, uint64_t length) const;
  /// From wherever it is; may block. Fails as SpillFile::Extent::read.
  Result<Bytes> load(uint64_t offset, uint64_t length) const;

  /// Pinned: it stays in memory until unpin(), and the budget has lent its bytes to whoever pins it
  /// as long. False: it is spilled.
  bool pin();
  void unpin();

  /// Closes it. What to spill; nullopt when it is pinned, spilled or empty.
  std::optional<Bytes> begin_spill();
  /// The disk has what begin_spill() gave. Ignored when it was pinned meanwhile.
  void spilled(SpillFile::ExtentPtr extent);

 private:
  DirtyChunk(std::shared_ptr<DirtyBudget> budget, Bytes memory, std::byte* writable)
      : budget_(std::move(budget)), memory_(std::move(memory)), writable_(writable) {}

  const std::shared_ptr<DirtyBudget> budget_;
  uint64_t listed_ = 0;  // constant after make()
  mutable std::mutex mutex_;
  Bytes memory_;
  std::byte* writable_;
  size_t used_ = 0;
  bool closed_ = false;
  unsigned pins_ = 0;
  SpillFile::ExtentPtr extent_;
};

/// Written bytes that no object holds yet, or that one is made of. Without a chunk: they left, and
/// are in an object at a follower.
struct DirtyPiece {
  std::shared_ptr<DirtyChunk> chunk;
  uint64_t offset = 0;
  uint64_t length = 0;

  bool left() const { return chunk == nullptr; }
  DirtyPiece slice(uint64_t skip, uint64_t size) const {
    return left() ? DirtyPiece{} : DirtyPiece{chunk, offset + skip, size};
  }
  std::optional<Bytes> in_memory() const { return chunk->in_memory(offset, length); }
  Result<Bytes> load() const { return chunk->load(offset, length); }
};

}  // namespace aster
