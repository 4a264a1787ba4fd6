#include "protocol/byte_range.h"

#include <algorithm>
#include <limits>

#include "protocol/http_text.h"

namespace aster {
namespace {

constexpr uint64_t kToTheEnd = std::numeric_limits<uint64_t>::max();

ApiError refuse(ApiCode code, std::string_view why) {
  return {code, std::string(why)};
}

// "-N": the last N bytes.
ApiResult<ByteRange> suffix(std::string_view count, uint64_t size) {
  const auto n = parse_decimal<uint64_t>(count);
  if (!n) return refuse(ApiCode::range_bounds_invalid, "range suffix is not a number");
  return ByteRange{size - std::min(*n, size), *n};
}

ApiResult<ByteRange> bounded(std::string_view first, std::string_view last) {
  const auto start = parse_decimal<uint64_t>(first);
  if (!start) return refuse(ApiCode::range_bounds_invalid, "range start is not a number");
  if (last.empty()) return ByteRange{*start, kToTheEnd};
  const auto end = parse_decimal<uint64_t>(last);
  if (!end || *end < *start) return refuse(ApiCode::range_bounds_invalid, "range end is invalid");
  if (*end - *start == kToTheEnd) {
    return refuse(ApiCode::range_length_invalid, "range is too long");
  }
  return ByteRange{*start, *end - *start + 1};
}

ApiResult<ByteRange> parse_header(std::string_view value, uint64_t size) {
  constexpr std::string_view kUnit = "bytes=";
  value = trim(value);
  if (!value.starts_with(kUnit)) {
    return refuse(ApiCode::range_header_invalid, "range unit must be bytes");
  }
  value.remove_prefix(kUnit.size());
  if (value.find(',') != std::string_view::npos) {
    return refuse(ApiCode::range_multiple_unsupported, "only one range is supported");
  }
  const size_t dash = value.find('-');
  if (dash == std::string_view::npos || value == "-") {
    return refuse(ApiCode::range_header_invalid, "range needs a start or an end");
  }
  if (dash == 0) return suffix(value.substr(1), size);
  return bounded(value.substr(0, dash), value.substr(dash + 1));
}

}  // namespace

ApiResult<std::optional<ByteRange>> resolve_range(const RangeRequest& request, uint64_t size) {
  ByteRange range{request.offset.value_or(0), request.length.value_or(kToTheEnd)};
  if (request.header) {
    ASTER_TRY(range, parse_header(*request.header, size));
  } else if (!request.offset && !request.length) {
    return std::optional<ByteRange>();
  }
  if (range.length == 0) return refuse(ApiCode::range_length_invalid, "range is empty");
  if (size == 0) return refuse(ApiCode::range_empty_object, "the object is empty");
  if (range.offset >= size) {
    return refuse(ApiCode::range_offset_out_of_bounds, "range starts beyond the object");
  }
  range.length = std::min(range.length, size - range.offset);
  return std::optional<ByteRange>(range);
}

std::string content_range(const ByteRange& range, uint64_t size) {
  return "bytes " + std::to_string(range.offset) + "-" + std::to_string(range.last()) + "/" +
         std::to_string(size);
}

std::optional<ContentRange> parse_content_range(std::string_view value) {
  constexpr std::string_view kUnit = "bytes ";
  value = trim(value);
  const size_t dash = value.find('-');
  const size_t slash = value.find('/');
  if (!value.starts_with(kUnit) || dash == std::string_view::npos ||
      slash == std::string_view::npos || slash < dash) {
    return std::nullopt;
  }
  const auto first = parse_decimal<uint64_t>(value.substr(kUnit.size(), dash - kUnit.size()));
  const auto last = parse_decimal<uint64_t>(value.substr(dash + 1, slash - dash - 1));
  const auto size = parse_decimal<uint64_t>(value.substr(slash + 1));
  if (!first || !last || !size || *last < *first || *last >= *size) return std::nullopt;
  return ContentRange{{*first, *last - *first + 1}, *size};
}

}  // namespace aster
