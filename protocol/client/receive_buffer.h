#pragma once

#include <cstddef>
#include <map>
#include <memory>

#include "protocol/base/bytes.h"
#include "protocol/base/guarded.h"

namespace aster {

/// Keeps the memory of bodies for the next ones: fresh pages cost about as much as receiving into
/// them (0.5 s per GiB on virtual machines, measured). Thread-safe.
class ReceivePool : public std::enable_shared_from_this<ReceivePool> {
 public:
  /// Keeps at most `idle_limit` bytes that nobody uses.
  explicit ReceivePool(size_t idle_limit) : idle_limit_(idle_limit) {}

  struct Memory {
    std::shared_ptr<std::byte> data;  ///< returns to the pool with its last owner
    size_t capacity = 0;
  };
  /// At least `size` bytes, not cleared.
  Memory take(size_t size);
  size_t idle_bytes() const { return idle_.lock()->bytes; }

 private:
  using Chunk = std::unique_ptr<std::byte[]>;
  struct Idle {
    std::multimap<size_t, Chunk> chunks;
    size_t bytes = 0;
  };
  void give_back(Chunk chunk, size_t capacity) noexcept;

  const size_t idle_limit_;
  Guarded<Idle> idle_;
};

/// A body that arrives in pieces and ends as one Bytes. Grows by doubling, so that the copies stay
/// linear when no size is known in advance. Used by one thread at a time.
class ReceiveBuffer {
 public:
  explicit ReceiveBuffer(std::shared_ptr<ReceivePool> pool) : pool_(std::move(pool)) {}

  void reserve(size_t size);
  void append(ByteView piece);
  size_t size() const noexcept { return size_; }
  void clear() noexcept { size_ = 0; }
  /// What has arrived; the buffer is empty afterwards.
  Bytes finish();

 private:
  std::shared_ptr<ReceivePool> pool_;
  ReceivePool::Memory memory_;
  size_t size_ = 0;
};

}  // namespace aster
