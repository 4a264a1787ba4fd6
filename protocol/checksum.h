#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/bytes.h"

namespace aster {

/// Standard CRC32C (Castagnoli) of `bytes` following those that gave `before`:
/// crc32c(b, crc32c(a)) is the checksum of a then b. That of nothing is 0.
uint32_t crc32c(ByteView bytes, uint32_t before = 0);

/// Checksum of a then b from the two checksums alone; `b_length` is the bytes of b.
uint32_t crc32c_combine(uint32_t a, uint32_t b, uint64_t b_length);

/// 8 lower-case hex digits, the form used in headers and JSON.
std::string crc32c_hex(uint32_t crc);

/// One CRC32C for each kBlockSize bytes of an object that is fed from its start. Used by one
/// thread at a time.
class BlockChecksums {
 public:
  void update(ByteView piece);
  uint64_t length() const noexcept { return length_; }
  /// One entry per block, the last may be of a short block; empty for an empty object. The object
  /// starts anew afterwards.
  std::vector<uint32_t> finish();

 private:
  std::vector<uint32_t> blocks_;
  uint64_t length_ = 0;
};

/// Checksum of the whole object from those of its blocks; `length` is the object's bytes and must
/// fit the number of blocks.
uint32_t crc32c_of_blocks(const std::vector<uint32_t>& blocks, uint64_t length);

using Sha256Digest = std::array<std::byte, 32>;

/// SHA-256 of bytes that come in pieces. Used by one thread at a time.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(ByteView piece);
  /// The digest; the object starts anew afterwards.
  Sha256Digest finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

Sha256Digest sha256(ByteView bytes);
/// Lower-case hex of a digest.
std::string to_hex(const Sha256Digest& digest);

Sha256Digest hmac_sha256(ByteView key, ByteView message);

/// Compares in a time that depends on the lengths only.
bool constant_time_equal(ByteView a, ByteView b) noexcept;

}  // namespace aster
