#include "fuse/io/write_arena.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace aster {

void WriteArena::store(ByteView source, const std::function<void(DirtyPiece)>& take) {
  while (!source.empty()) {
    if (chunk_used_ == chunk_.size()) new_chunk(source.size());
    const size_t n = std::min(source.size(), chunk_.size() - chunk_used_);
    std::memcpy(memory_ + chunk_used_, source.data(), n);
    charge_->add(n);
    take({chunk_.slice(chunk_used_, n), charge_});
    chunk_used_ += n;
    source = source.subspan(n);
  }
}

bool WriteArena::join(DirtyPiece& first, const DirtyPiece& next) const {
  if (first.charge != next.charge || next.charge != charge_) return false;
  if (first.data.data() + first.data.size() != next.data.data()) return false;
  const auto start = static_cast<size_t>(first.data.data() - memory_);
  first.data = chunk_.slice(start, first.data.size() + next.data.size());
  return true;
}

// The chunk is shared from the start: slices cover only what is written already, and the rest is
// written before anybody gets a slice of it.
void WriteArena::new_chunk(size_t wanted) {
  const size_t capacity =
      std::min<size_t>(std::max(next_capacity_, std::bit_ceil(wanted)), kBlockSize);
  if (capacity == kBlockSize) {
    Block block = pool_.take();
    memory_ = block.data();
    chunk_ = std::move(block).freeze(kBlockSize);
  } else {
    std::shared_ptr<std::byte[]> memory(new std::byte[capacity]);
    memory_ = memory.get();
    chunk_ = Bytes(std::move(memory), ByteView(memory_, capacity));
  }
  chunk_used_ = 0;
  next_capacity_ = std::min<size_t>(capacity * 2, kBlockSize);
  charge_ = std::make_shared<DirtyCharge>(budget_);
}

}  // namespace aster
