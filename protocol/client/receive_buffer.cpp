#include "protocol/client/receive_buffer.h"

#include <algorithm>
#include <cstring>

namespace aster {
namespace {

constexpr size_t kPooledFrom = 64 * 1024;  // smaller ones come from the allocator's own caches
constexpr size_t kFirstSize = 16 * 1024;

}  // namespace

ReceivePool::Memory ReceivePool::take(size_t size) {
  Chunk chunk;
  size_t capacity = size;
  if (size >= kPooledFrom) {
    auto idle = idle_.lock();
    const auto found = idle->chunks.lower_bound(size);
    // A much larger chunk is left for a body that needs it.
    if (found != idle->chunks.end() && found->first / 2 <= size) {
      capacity = found->first;
      chunk = std::move(found->second);
      idle->bytes -= capacity;
      idle->chunks.erase(found);
    }
  }
  if (!chunk) chunk.reset(new std::byte[size]);  // not cleared, unlike make_unique
  std::byte* data = chunk.release();
  return {
      std::shared_ptr<std::byte>(data, [pool = shared_from_this(), capacity](
                                           std::byte* p) { pool->give_back(Chunk(p), capacity); }),
      capacity};
}

void ReceivePool::give_back(Chunk chunk, size_t capacity) noexcept {
  if (capacity < kPooledFrom) return;
  auto idle = idle_.lock();
  if (idle->bytes + capacity > idle_limit_) return;
  idle->chunks.emplace(capacity, std::move(chunk));
  idle->bytes += capacity;
}

void ReceiveBuffer::reserve(size_t size) {
  if (size <= memory_.capacity) return;
  ReceivePool::Memory larger = pool_->take(size);
  if (size_ != 0) std::memcpy(larger.data.get(), memory_.data.get(), size_);
  memory_ = std::move(larger);
}

void ReceiveBuffer::append(ByteView piece) {
  if (piece.empty()) return;
  if (size_ + piece.size() > memory_.capacity) {
    reserve(std::max({size_ + piece.size(), 2 * memory_.capacity, kFirstSize}));
  }
  std::memcpy(memory_.data.get() + size_, piece.data(), piece.size());
  size_ += piece.size();
}

Bytes ReceiveBuffer::finish() {
  const ByteView view(memory_.data.get(), std::exchange(size_, 0));
  return Bytes(std::exchange(memory_, {}).data, view);
}

}  // namespace aster
