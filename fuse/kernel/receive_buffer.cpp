#include "fuse/kernel/receive_buffer.h"

#include <fuse_lowlevel.h>

#include <algorithm>

namespace aster {
namespace {

/// Below this, copying is cheaper than to keep a buffer of 1 MiB from being used again.
constexpr size_t kShareFrom = 128 * 1024;

thread_local const std::shared_ptr<void>* this_threads_buffer = nullptr;

}  // namespace

ReceiveBuffers::ReceiveBuffers() {
  this_threads_buffer = &current_;
}

ReceiveBuffers::~ReceiveBuffers() {
  this_threads_buffer = nullptr;
}

void ReceiveBuffers::prepare(fuse_buf& buf) {
  buf = fuse_buf{};
  if (current_ && current_.use_count() == 1) {
    buf.mem = current_.get();
    return;
  }
  if (current_ && buffers_.size() < kKept) buffers_.push_back(current_);
  current_.reset();
  const auto idle = std::find_if(buffers_.begin(), buffers_.end(),
                                 [](const Memory& m) { return m.use_count() == 1; });
  if (idle == buffers_.end()) return;
  current_ = std::move(*idle);
  buffers_.erase(idle);
  buf.mem = current_.get();
}

void ReceiveBuffers::received(const fuse_buf& buf) {
  if (buf.mem != nullptr && buf.mem != current_.get()) current_ = Memory(buf.mem, std::free);
}

Bytes ReceiveBuffers::keep(const char* data, size_t size) {
  const ByteView view(reinterpret_cast<const std::byte*>(data), size);
  if (size < kShareFrom || this_threads_buffer == nullptr || !*this_threads_buffer) {
    return Bytes::copy_of(view);
  }
  return Bytes(*this_threads_buffer, view);
}

}  // namespace aster
