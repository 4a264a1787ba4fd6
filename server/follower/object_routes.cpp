#include <algorithm>

#include "protocol/base/log.h"
#include "protocol/byte_range.h"
#include "protocol/capabilities.h"
#include "protocol/http_text.h"
#include "protocol/messages.h"
#include "server/follower/follower_api.h"

namespace aster::follower {
namespace {

constexpr uint64_t kMostListed = 1000;

/// Upper limit for a new object, 0 = none. A v5 primary gives its policy's in the query; it cannot
/// see, and so does not mean, one that an older release left on the target.
ApiResult<uint64_t> size_limit(const QueryList& query, const Target& target) {
  const auto text = http::query_value(query, "max_file_size");
  if (!text) return static_cast<uint64_t>(std::max<int64_t>(0, target.info.max_file_size));
  const auto asked = parse_decimal<int64_t>(*text);
  if (!asked || *asked < 0) {
    return ApiError(ApiCode::auth_token_invalid, "max_file_size must be a number from 0 on");
  }
  return static_cast<uint64_t>(*asked);
}

ApiResult<bool> check_size(std::string_view what, uint64_t size, uint64_t limit) {
  if (limit == 0 || size <= limit) return true;
  return ApiError(ApiCode::file_too_large, std::string(what) + " size " + std::to_string(size) +
                                               " exceeds limit " + std::to_string(limit));
}

ApiResult<uint32_t> read_crc(std::string_view name, const std::string& text) {
  uint32_t crc = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, crc, 16);
  if (text.size() != 8 || error != std::errc() || stop != end) {
    return ApiError(ApiCode::bad_request, std::string(name) + " must be 8 hex digits");
  }
  return crc;
}

/// Of the query, which the signature covers, else of the header. Both must agree.
ApiResult<std::optional<uint32_t>> announced_crc(const http::Request& request,
                                                 const QueryList& query) {
  std::optional<uint32_t> out;
  if (const std::string* header = request.header(kCrc32cHeader)) {
    ASTER_TRY(out, read_crc(kCrc32cHeader, *header));
  }
  if (const auto text = http::query_value(query, kCrc32cQuery)) {
    ASTER_TRY(const uint32_t crc, read_crc(kCrc32cQuery, *text));
    if (out && *out != crc) return ApiError(ApiCode::bad_request, "two different checksums");
    out = crc;
  }
  return out;
}

/// What a driver's failure means for an upload: the body's faults are the client's.
ApiError put_failure(const Error& error) {
  if (error.code == Errc::corrupt) return {ApiCode::bad_request, error.context};
  if (error.code == Errc::name_too_long) return {ApiCode::bad_request, error.context};
  if (error.code == Errc::is_directory || error.code == Errc::not_directory ||
      error.code == Errc::not_found) {
    return {ApiCode::storage_unknown, error.context};
  }
  return Error(error);
}

ApiError compose_failure(const Error& error) {
  if (error.code == Errc::not_found) return {ApiCode::storage_not_found, error.context};
  if (error.code == Errc::corrupt) return {ApiCode::storage_unknown, error.context};
  return put_failure(error);
}

bool legal_header_value(std::string_view value) {
  return std::all_of(value.begin(), value.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte >= 0x20 && byte != 0x7f) || c == '\t';
  });
}

/// Sets `name` from the query when it is there; `fallback` empty = leave it out.
ApiResult<bool> override_header(http::Response& response, const QueryList& query,
                                std::string_view parameter, std::string_view name,
                                std::string_view fallback = {}) {
  std::string value = http::query_value(query, parameter).value_or("");
  if (value.empty()) value = fallback;
  if (!legal_header_value(value)) {
    return ApiError(ApiCode::bad_request, std::string(parameter) + " is no legal header value");
  }
  if (!value.empty()) response.headers.emplace_back(name, value);
  return true;
}

ApiResult<http::Response> object_headers(const QueryList& query,
                                         const storage::OpenObject& object) {
  http::Response out;
  ASTER_TRY(override_header(out, query, "response-content-type", "Content-Type",
                            object.content_type.value_or("application/octet-stream")));
  ASTER_TRY(override_header(out, query, "response-content-disposition", "Content-Disposition"));
  ASTER_TRY(override_header(out, query, "response-cache-control", "Cache-Control"));
  out.headers.emplace_back("Accept-Ranges", "bytes");
  out.headers.emplace_back("Content-Encoding", "identity");
  return out;
}

}  // namespace

Task<FollowerApi::Outcome> FollowerApi::put_object(Call& call) {
  if (!call.request.content_length) {
    co_return ApiError(ApiCode::content_length_required, "Content-Length is required");
  }
  const uint64_t length = *call.request.content_length;
  ASTER_CO_TRY(const uint64_t limit, size_limit(call.query, call.usable->target));
  ASTER_CO_TRY(check_size("object", length, limit));
  ASTER_CO_TRY(const auto crc, announced_crc(call.request, call.query));
  const storage::ObjectStore store = objects(call);
  const auto digest = co_await store.put(call.key, call.request.body, {length, crc});
  if (!digest.ok()) co_return put_failure(digest.error());
  http::Response response = success(call.dialect);
  response.headers.emplace_back("ETag", "\"" + *digest + "\"");
  co_return response;
}

Task<FollowerApi::Outcome> FollowerApi::get_object(Call& call) {
  RangeRequest wanted;
  if (const std::string* header = call.request.header("Range")) wanted.header = *header;
  ASTER_CO_TRY(wanted.offset, query_number(call.query, "offset"));
  ASTER_CO_TRY(wanted.length, query_number(call.query, "length"));
  const storage::ObjectStore store = objects(call);
  ASTER_CO_TRY(storage::OpenObject object, co_await store.open(call.key));
  ASTER_CO_TRY(const auto range, resolve_range(wanted, object.size));
  ASTER_CO_TRY(http::Response response, object_headers(call.query, object));
  const uint64_t offset = range ? range->offset : 0;
  const uint64_t length = range ? range->length : object.size;
  if (range) {
    response.status = 206;
    response.headers.emplace_back("Content-Range", content_range(*range, object.size));
  }
  if (object.fd) {
    response.body = http::FileBody{std::move(object.fd), offset, length};
  } else {
    response.body = http::StreamBody{object.stream(offset, length), length};
  }
  co_return response;
}

Task<FollowerApi::Outcome> FollowerApi::head_object(Call& call) {
  const storage::ObjectStore store = objects(call);
  ASTER_CO_TRY(const storage::OpenObject object, co_await store.open(call.key));
  http::Response response;
  if (object.content_type) response.headers.emplace_back("Content-Type", *object.content_type);
  response.headers.emplace_back("Accept-Ranges", "bytes");
  response.head_length = object.size;
  co_return response;
}

Task<FollowerApi::Outcome> FollowerApi::delete_object(Call& call) {
  const storage::ObjectStore store = objects(call);
  ASTER_CO_TRY(co_await store.remove(call.key));
  co_return success(call.dialect);
}

Task<FollowerApi::Outcome> FollowerApi::get_metadata(Call& call) {
  const storage::ObjectStore store = objects(call);
  ASTER_CO_TRY(const storage::OpenObject object, co_await store.open(call.key));
  const ObjectMetadata found{.size = object.size, .content_type = object.content_type};
  co_return success(call.dialect, to_json(found));
}

Task<FollowerApi::Outcome> FollowerApi::list_objects(Call& call) {
  ASTER_CO_TRY(auto limit, query_number(call.query, "limit"));
  ASTER_CO_TRY(const auto cursor, query_number(call.query, "cursor"));
  if (limit == uint64_t{0}) co_return ApiError(ApiCode::bad_request, "limit must not be 0");
  if (limit) limit = std::min(*limit, kMostListed);
  const std::string prefix = http::query_value(call.query, "prefix").value_or("");
  const storage::ObjectStore store = objects(call);
  const uint64_t from = limit ? cursor.value_or(0) : 0;
  const uint64_t most = limit.value_or(parts_.most_unpaged);
  ASTER_CO_TRY(const ObjectList list, co_await store.list(prefix, from, most));
  if (!limit && list.next_cursor) {
    // A part of the list would look like all of it to who does not know of pages.
    co_return ApiError(ApiCode::bad_request, "more than " + std::to_string(most) +
                                                 " objects: ask for pages with limit and cursor");
  }
  co_return success(call.dialect, to_json(list));
}

Task<FollowerApi::Outcome> FollowerApi::compose(Call& call) {
  ASTER_CO_TRY(const std::string body, co_await read_json_body(call.request.body));
  ASTER_CO_TRY(ComposeRequest wish, from_json<ComposeRequest>(body));
  const bool ranges = !wish.part_ranges.empty();
  if (wish.part_keys.empty() && !ranges) {
    co_return ApiError(ApiCode::compose_parts_required, "part_keys is empty");
  }
  if (wish.expected_size < 0) {
    co_return ApiError(ApiCode::compose_expected_size_invalid, "expected_size is negative");
  }
  const uint64_t size = static_cast<uint64_t>(wish.expected_size);
  ASTER_CO_TRY(const uint64_t limit, size_limit(call.query, call.usable->target));
  ASTER_CO_TRY(check_size("composed object", size, limit));
  const bool keep = http::query_value(call.query, "keep_parts") == "true";
  const storage::ObjectStore store = objects(call);
  if (ranges) {
    const auto joined =
        co_await store.join_pieces(std::move(wish.target_key), std::move(wish.part_ranges), size);
    if (!joined.ok()) co_return compose_failure(joined.error());
    co_return success(call.dialect, to_json(ComposeAnswer{*joined}));
  }
  const auto written = co_await store.compose(std::move(wish.target_key), std::move(wish.part_keys),
                                              {.expected_size = size, .keep_parts = keep});
  if (!written.ok()) co_return compose_failure(written.error());
  co_return success(call.dialect, to_json(ComposeAnswer{*written}));
}

Task<FollowerApi::Outcome> FollowerApi::batch_delete(Call& call) {
  ASTER_CO_TRY(const std::string body, co_await read_json_body(call.request.body));
  ASTER_CO_TRY(BatchDelete wish, from_json<BatchDelete>(body));
  if (wish.keys.empty() || wish.keys.size() > kMostDeleted) {
    co_return ApiError(ApiCode::bad_request,
                       "keys has 1 to " + std::to_string(kMostDeleted) + " entries");
  }
  const storage::ObjectStore store = objects(call);
  const std::vector<Result<void>> removed = co_await store.remove_many(wish.keys);
  BatchDeleteAnswer answer;
  for (size_t i = 0; i < removed.size(); ++i) {
    if (removed[i].ok() || removed[i].failed_with(Errc::not_found)) {
      ++answer.deleted;
      continue;
    }
    const ApiError error(removed[i].error());
    ASTER_LOG(warn, "object not deleted", {"request", call.request.request_id},
              {"err", removed[i].error()});
    const bool inner = error.http_status() >= 500;
    answer.failed.push_back({wish.keys[i], std::string(info(error.code).text),
                             inner ? std::string(class_name(error.code)) : error.message});
  }
  co_return success(call.dialect, to_json(answer));
}

}  // namespace aster::follower
