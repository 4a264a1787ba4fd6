#include "protocol/base/bytes.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>

#include "protocol/base/check.h"

namespace aster {

Bytes Bytes::copy_of(ByteView source) {
  if (source.empty()) return {};
  std::shared_ptr<std::byte[]> memory(new std::byte[source.size()]);
  std::memcpy(memory.get(), source.data(), source.size());
  const ByteView view(memory.get(), source.size());
  return {std::move(memory), view};
}

Bytes Bytes::from_string(std::string text) {
  auto owner = std::make_shared<const std::string>(std::move(text));
  const ByteView view = as_bytes(*owner);
  return {std::move(owner), view};
}

Bytes Bytes::slice(size_t offset, size_t length) const {
  offset = std::min(offset, view_.size());
  return {owner_, view_.subspan(offset, std::min(length, view_.size() - offset))};
}

Bytes Block::freeze(size_t size) && {
  ASTER_CHECK(memory_ && size <= capacity());
  const ByteView view(memory_.get(), size);
  return {std::move(memory_), view};
}

struct BlockPool::State {
  explicit State(size_t limit) : idle_limit(limit) {}
  ~State() {
    for (std::byte* memory : idle) std::free(memory);
  }
  void give_back(std::byte* memory) {
    {
      std::lock_guard lock(mutex);
      in_use -= kBlockSize;
      if ((idle.size() + 1) * kBlockSize <= idle_limit) {
        idle.push_back(memory);
        return;
      }
    }
    std::free(memory);
  }

  const size_t idle_limit;
  std::mutex mutex;
  std::vector<std::byte*> idle;
  size_t in_use = 0;
};

BlockPool::BlockPool(size_t idle_limit) : state_(std::make_shared<State>(idle_limit)) {
  state_->idle.reserve(idle_limit / kBlockSize);
}

Block BlockPool::take() {
  std::byte* memory = nullptr;
  {
    std::lock_guard lock(state_->mutex);
    state_->in_use += kBlockSize;
    if (!state_->idle.empty()) {
      memory = state_->idle.back();
      state_->idle.pop_back();
    }
  }
  if (memory == nullptr) memory = static_cast<std::byte*>(std::aligned_alloc(4096, kBlockSize));
  ASTER_CHECK(memory != nullptr);
  Block block;
  block.memory_ =
      std::shared_ptr<std::byte>(memory, [state = state_](std::byte* m) { state->give_back(m); });
  return block;
}

size_t BlockPool::bytes_in_use() const {
  std::lock_guard lock(state_->mutex);
  return state_->in_use;
}

}  // namespace aster
