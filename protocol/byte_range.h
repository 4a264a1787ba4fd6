#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/api_error.h"

namespace aster {

/// `length` bytes from `offset` on; never empty.
struct ByteRange {
  uint64_t offset = 0;
  uint64_t length = 0;
  uint64_t last() const noexcept { return offset + length - 1; }
  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

/// How a reader asked for a part of an object. A header beats the query parameters.
struct RangeRequest {
  std::optional<std::string_view> header;  ///< value of `Range`
  std::optional<uint64_t> offset;          ///< query; to the end when `length` is absent
  std::optional<uint64_t> length;          ///< query; from 0 when `offset` is absent
};

/// The part of an object of `size` bytes that was asked for, cut to the object; nullopt when the
/// whole was asked for (answer 200). Every refusal is a 400 with one of the
/// internal_storage.range_* codes, never 416.
ApiResult<std::optional<ByteRange>> resolve_range(const RangeRequest& request, uint64_t size);

/// "bytes 0-4/10"
std::string content_range(const ByteRange& range, uint64_t size);

/// Reads "bytes S-E/SIZE" of an answer; nullopt when it is anything else.
struct ContentRange {
  ByteRange range;
  uint64_t size = 0;
};
std::optional<ContentRange> parse_content_range(std::string_view value);

}  // namespace aster
