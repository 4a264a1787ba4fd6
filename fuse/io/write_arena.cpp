#include "fuse/io/write_arena.h"

#include <algorithm>
#include <bit>

namespace aster {

void WriteArena::store(ByteView source, const std::function<void(DirtyPiece)>& take) {
  while (!source.empty()) {
    if (!chunk_) new_chunk(source.size());
    const size_t before = chunk_->used();
    const size_t n = chunk_->append(source);
    if (n == 0) {
      new_chunk(source.size());
      continue;
    }
    take({chunk_, before, n});
    source = source.subspan(n);
  }
}

bool WriteArena::join(DirtyPiece& first, const DirtyPiece& next) const {
  if (first.chunk != next.chunk || next.chunk != chunk_) return false;
  if (first.offset + first.length != next.offset) return false;
  first.length += next.length;
  return true;
}

// The chunk is shared from the start: pieces cover only what is written already, and the rest is
// written before anybody gets a piece of it.
void WriteArena::new_chunk(size_t wanted) {
  const size_t capacity =
      std::min<size_t>(std::max(next_capacity_, std::bit_ceil(wanted)), kBlockSize);
  if (capacity == kBlockSize) {
    Block block = pool_.take();
    std::byte* const memory = block.data();
    chunk_ = DirtyChunk::make(budget_, std::move(block).freeze(kBlockSize), memory);
  } else {
    std::shared_ptr<std::byte[]> owner(new std::byte[capacity]);
    std::byte* const memory = owner.get();
    chunk_ = DirtyChunk::make(budget_, Bytes(std::move(owner), ByteView(memory, capacity)), memory);
  }
  next_capacity_ = std::min<size_t>(capacity * 2, kBlockSize);
}

}  // namespace aster
