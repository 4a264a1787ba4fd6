#include "fuse/io/dirty_chunk.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace aster {

std::shared_ptr<DirtyChunk> DirtyChunk::make(std::shared_ptr<DirtyBudget> budget, Bytes memory,
                                             std::byte* writable) {
  std::shared_ptr<DirtyChunk> chunk(new DirtyChunk(std::move(budget), std::move(memory), writable));
  chunk->listed_ = chunk->budget_->list(chunk);
  return chunk;
}

DirtyChunk::~DirtyChunk() {
  budget_->unlist(listed_);
  if (!extent_ && used_ != 0) budget_->release(used_);
}

size_t DirtyChunk::append(ByteView source) {
  std::lock_guard lock(mutex_);
  if (closed_) return 0;
  const size_t n = std::min(source.size(), memory_.size() - used_);
  std::memcpy(writable_ + used_, source.data(), n);
  used_ += n;
  return n;
}

size_t DirtyChunk::used() const {
  std::lock_guard lock(mutex_);
  return used_;
}

std::optional<Bytes> DirtyChunk::in_memory(uint64_t offset, uint64_t length) const {
  std::lock_guard lock(mutex_);
  if (extent_) return std::nullopt;
  return memory_.slice(offset, length);
}

Result<Bytes> DirtyChunk::load(uint64_t offset, uint64_t length) const {
  SpillFile::ExtentPtr extent;
  {
    std::lock_guard lock(mutex_);
    if (!extent_) return memory_.slice(offset, length);
    extent = extent_;
  }
  return extent->read(offset, length);
}

bool DirtyChunk::pin() {
  std::lock_guard lock(mutex_);
  if (extent_) return false;
  closed_ = true;  // what is lent must come back as it was
  if (pins_++ == 0) budget_->lend(used_);
  return true;
}

void DirtyChunk::unpin() {
  std::lock_guard lock(mutex_);
  if (--pins_ == 0) budget_->take_back(used_);
}

std::optional<Bytes> DirtyChunk::begin_spill() {
  std::lock_guard lock(mutex_);
  if (extent_ || pins_ != 0 || used_ == 0) return std::nullopt;
  closed_ = true;
  return memory_.slice(0, used_);
}

void DirtyChunk::spilled(SpillFile::ExtentPtr extent) {
  Bytes memory;
  {
    std::lock_guard lock(mutex_);
    if (extent_ || pins_ != 0) return;
    extent_ = std::move(extent);
    memory = std::exchange(memory_, {});
  }
  memory = {};
  budget_->unlist(listed_);
  budget_->release(used_);
}

}  // namespace aster
