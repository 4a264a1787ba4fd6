#include "fuse/io/read_plan.h"

#include <algorithm>

namespace aster {
namespace {

const Bytes& zero_block() {
  static const Bytes zeros = [] {
    static constinit std::byte memory[kBlockSize] = {};
    return Bytes(nullptr, ByteView(memory));
  }();
  return zeros;
}

uint32_t first_block(const ReadSlice& slice) {
  return static_cast<uint32_t>(slice.object_offset / kBlockSize);
}
uint32_t last_block(const ReadSlice& slice) {
  return static_cast<uint32_t>((slice.object_offset + slice.length - 1) / kBlockSize);
}

}  // namespace

void append_zeros(uint64_t offset, uint64_t length, std::vector<ReadSlice>& slices) {
  while (length > 0) {
    const uint64_t n = std::min(length, kBlockSize);
    slices.push_back({offset, n, zero_block().slice(0, n), nullptr, 0});
    offset += n;
    length -= n;
  }
}

void ReadPlan::add(uint64_t offset, uint64_t length, const DirtyPiece& piece) {
  ReadSlice slice{offset, length, {}, nullptr, 0};
  if (std::optional<Bytes> bytes = piece.in_memory()) {
    slice.bytes = std::move(*bytes);
  } else {
    slice.spilled = piece;
    spilled = true;
  }
  slices.push_back(std::move(slice));
}

Result<void> load_spilled(std::vector<ReadSlice>& slices) {
  for (ReadSlice& slice : slices) {
    if (slice.spilled.left()) continue;
    ASTER_TRY(slice.bytes, slice.spilled.load());
    slice.spilled = {};
  }
  return ok();
}

std::vector<BlockNeed> blocks_of(const std::vector<ReadSlice>& slices) {
  std::vector<BlockNeed> needs;
  for (const ReadSlice& slice : slices) {
    if (!slice.object) continue;
    for (uint32_t index = first_block(slice); index <= last_block(slice); ++index) {
      const bool known = !needs.empty() && needs.back().index == index &&
                         needs.back().object->id == slice.object->id;
      if (known) continue;
      const uint64_t begin = index * kBlockSize;
      const uint64_t skip = begin > slice.object_offset ? begin - slice.object_offset : 0;
      needs.push_back({slice.object, index, slice.offset + skip});
    }
  }
  return needs;
}

std::vector<Bytes> assemble(const std::vector<ReadSlice>& slices,
                            const std::vector<Bytes>& blocks) {
  std::vector<Bytes> pieces;
  size_t next = 0;  // block after those of the slices before
  const ReadSlice* before = nullptr;
  for (const ReadSlice& slice : slices) {
    if (!slice.object) {
      pieces.push_back(slice.bytes);
      continue;
    }
    const bool shares = before != nullptr && before->object->id == slice.object->id &&
                        last_block(*before) == first_block(slice);
    size_t at = shares ? next - 1 : next;
    uint64_t offset = slice.object_offset;
    uint64_t left = slice.length;
    while (left > 0) {
      const uint64_t within = offset % kBlockSize;
      const uint64_t n = std::min(left, kBlockSize - within);
      pieces.push_back(blocks[at++].slice(within, n));
      offset += n;
      left -= n;
    }
    next = at;
    before = &slice;
  }
  return pieces;
}

}  // namespace aster
