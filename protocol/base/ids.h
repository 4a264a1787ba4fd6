#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace aster {

/// A 64-bit number that is of one kind only.
template <class Tag>
struct NumberId {
  uint64_t value = 0;
  constexpr NumberId() = default;
  constexpr explicit NumberId(uint64_t v) : value(v) {}
  constexpr explicit operator bool() const noexcept { return value != 0; }
  friend constexpr auto operator<=>(NumberId, NumberId) = default;
};

using InodeNo = NumberId<struct InodeNoTag>;    ///< assigned by the primary, never used twice
using NodeId = NumberId<struct NodeIdTag>;      ///< a follower as the primary knows it
using PolicyId = NumberId<struct PolicyIdTag>;  ///< a storage policy
using UserId = NumberId<struct UserIdTag>;
using SessionId = NumberId<struct SessionIdTag>;  ///< one mounted client

/// 128 random bits that are of one kind only; written as 32 lower-case hex digits.
template <class Tag>
struct RandomId {
  std::array<std::byte, 16> bytes{};

  /// Fresh, from the system's generator.
  static RandomId random() {
    RandomId id;
    fill_random(id.bytes.data(), id.bytes.size());
    return id;
  }
  static std::optional<RandomId> from_hex(std::string_view hex) {
    RandomId id;
    if (!decode_hex(hex, id.bytes.data(), id.bytes.size())) return std::nullopt;
    return id;
  }
  std::string hex() const { return encode_hex(bytes.data(), bytes.size()); }
  friend auto operator<=>(const RandomId&, const RandomId&) = default;

 private:
  static void fill_random(std::byte* out, size_t n);
  static bool decode_hex(std::string_view hex, std::byte* out, size_t n);
  static std::string encode_hex(const std::byte* in, size_t n);
};

using ObjectId = RandomId<struct ObjectIdTag>;        ///< an immutable object on a follower
using OperationId = RandomId<struct OperationIdTag>;  ///< makes a mutation exactly-once
using Guid = RandomId<struct GuidTag>;                ///< an inode, the same on every drive

/// `n` bytes from getrandom(2).
void fill_random(std::byte* out, size_t n);
/// Lower-case hex of n bytes.
std::string encode_hex(const std::byte* in, size_t n);
/// Exactly n bytes from 2n hex digits of any case; false otherwise.
bool decode_hex(std::string_view hex, std::byte* out, size_t n);
/// `bytes` random bytes as lower-case hex, for tokens and keys.
std::string random_hex(size_t bytes);

template <class Tag>
void RandomId<Tag>::fill_random(std::byte* out, size_t n) {
  aster::fill_random(out, n);
}
template <class Tag>
bool RandomId<Tag>::decode_hex(std::string_view hex, std::byte* out, size_t n) {
  return aster::decode_hex(hex, out, n);
}
template <class Tag>
std::string RandomId<Tag>::encode_hex(const std::byte* in, size_t n) {
  return aster::encode_hex(in, n);
}

}  // namespace aster

template <class Tag>
struct std::hash<aster::NumberId<Tag>> {
  size_t operator()(aster::NumberId<Tag> id) const noexcept {
    return std::hash<uint64_t>()(id.value);
  }
};
template <class Tag>
struct std::hash<aster::RandomId<Tag>> {
  size_t operator()(const aster::RandomId<Tag>& id) const noexcept {
    size_t h;  // the bits are random already
    static_assert(sizeof h <= sizeof id.bytes);
    __builtin_memcpy(&h, id.bytes.data(), sizeof h);
    return h;
  }
};
