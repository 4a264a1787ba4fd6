#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

namespace aster {

/// The unit of checksums and of the block cache, bytes (design: one CRC32C per 128 KiB of object).
inline constexpr uint64_t kBlockSize = 128 * 1024;
/// The unit of bulk transfers, bytes; a multiple of kBlockSize.
inline constexpr uint64_t kTransferSize = 4 * 1024 * 1024;

using ByteView = std::span<const std::byte>;

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Immutable bytes with shared ownership; slices keep the whole alive. Cheap to copy.
class Bytes {
 public:
  Bytes() = default;
  Bytes(std::shared_ptr<const void> owner, ByteView view) : owner_(std::move(owner)), view_(view) {}
  static Bytes copy_of(ByteView source);
  static Bytes from_string(std::string text);

  ByteView view() const noexcept { return view_; }
  const std::byte* data() const noexcept { return view_.data(); }
  size_t size() const noexcept { return view_.size(); }
  bool empty() const noexcept { return view_.empty(); }
  /// `length` is cut to what is there; `offset` past the end gives an empty slice.
  Bytes slice(size_t offset, size_t length = SIZE_MAX) const;

 private:
  std::shared_ptr<const void> owner_;
  ByteView view_;
};

/// Memory of one block that is being filled. Move it into Bytes when it is final.
class Block {
 public:
  Block() = default;
  std::byte* data() const noexcept { return memory_.get(); }
  static constexpr size_t capacity() noexcept { return kBlockSize; }
  explicit operator bool() const noexcept { return memory_ != nullptr; }
  std::span<std::byte> span() const noexcept { return {memory_.get(), capacity()}; }
  /// The first `size` bytes, immutable from now on; the memory returns to its pool with the last
  /// Bytes that shares it.
  Bytes freeze(size_t size) &&;

 private:
  friend class BlockPool;
  std::shared_ptr<std::byte> memory_;
};

/// Recycles block memory: fresh pages cost about 0.5 s per GiB on virtual machines (measured).
/// Thread-safe. Blocks may outlive the pool.
class BlockPool {
 public:
  /// Keeps at most `idle_limit` bytes of unused blocks.
  explicit BlockPool(size_t idle_limit);
  Block take();
  /// Bytes in blocks that somebody holds now.
  size_t bytes_in_use() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace aster
