#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "fuse/io/block_fetch.h"
#include "fuse/io/dirty_chunk.h"
#include "protocol/base/bytes.h"

namespace aster {

/// A stretch of an answer to a read, in file order: bytes that are here (unsent writes, zeros of a
/// hole), where on disk (unsent writes that were spilled) or where in an object they are.
struct ReadSlice {
  uint64_t offset = 0;  ///< in the file
  uint64_t length = 0;
  Bytes bytes;  ///< when `object` is not set
  ObjectAccessPtr object;
  uint64_t object_offset = 0;
  DirtyPiece spilled = {};  ///< to be loaded into `bytes` first
};

struct ReadPlan {
  std::vector<ReadSlice> slices;
  /// Set when the manifest must be loaded around this offset first; `slices` end there.
  std::optional<uint64_t> unknown_at;
  /// Some slice is of an object that no commit has named yet.
  bool uncommitted = false;
  /// Some slice has to be loaded; see load_spilled().
  bool spilled = false;

  /// Unsent writes as the next slice.
  void add(uint64_t offset, uint64_t length, const DirtyPiece& piece);
};

/// Fills in the bytes of spilled slices; blocks. Fails as SpillFile::Extent::read.
Result<void> load_spilled(std::vector<ReadSlice>& slices);

/// Zeros for holes: slices of one shared block.
void append_zeros(uint64_t offset, uint64_t length, std::vector<ReadSlice>& slices);

/// One block of an object that a read needs.
struct BlockNeed {
  ObjectAccessPtr object;
  uint32_t index = 0;
  uint64_t file_offset = 0;  ///< of its first needed byte
  BlockKey key() const { return {object->id, index}; }
  uint32_t crc32c() const { return object->crc32c[index - object->first_block]; }
};

/// The blocks that the slices touch, in order, neighbours that are the same named once.
std::vector<BlockNeed> blocks_of(const std::vector<ReadSlice>& slices);

/// The answer from the slices and the blocks of blocks_of(slices), without a copy.
std::vector<Bytes> assemble(const std::vector<ReadSlice>& slices, const std::vector<Bytes>& blocks);

}  // namespace aster
