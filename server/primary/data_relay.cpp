#include "server/primary/data_relay.h"

#include <charconv>

#include "protocol/base/log.h"
#include "protocol/capabilities.h"
#include "protocol/fs/json.h"
#include "server/http/status_map.h"
#include "server/primary/client_api.h"

namespace aster::primary {
namespace {

/// Follower failures as a client of this server should see them: the storage behind us is away, not
/// the client's own proof or request wrong.
Error seen_from_outside(Error error) {
  const bool refused = error.code == Errc::token_invalid ||
                       error.code == Errc::credentials_failed || error.code == Errc::forbidden;
  if (refused) return fail(Errc::unavailable, "the follower refuses: " + error.context);
  return error;
}

Result<std::optional<uint32_t>> announced_crc32c(const http::Request& request) {
  std::optional<uint32_t> crc;
  const std::string* header = request.header(kCrc32cHeader);
  if (header == nullptr) return crc;
  uint32_t value = 0;
  const char* end = header->data() + header->size();
  const auto [stop, error] = std::from_chars(header->data(), end, value, 16);
  if (header->size() != 8 || error != std::errc() || stop != end) {
    return fail(Errc::bad_request, std::string(kCrc32cHeader) + " has 8 hex digits");
  }
  crc = value;
  return crc;
}

}  // namespace

void DataRelay::add_routes(http::Router& router) {
  router.add("PUT", RelayUrls::kRoute, [this](http::Request& request) { return upload(request); });
  router.add("GET", RelayUrls::kRoute,
             [this](http::Request& request) { return download(request); });
}

Task<http::Response> DataRelay::upload(http::Request& request) {
  const Result<void> stored = co_await store(request);
  if (!stored.ok()) {
    ASTER_LOG(warn, "relay_failed", {"op", "put"}, {"req", request.request_id},
              {"err", stored.error()});
    http::Response answer = fs_failure(stored.error());
    answer.close_connection = true;  // the rest of the body is of no use to anybody
    co_return answer;
  }
  co_return http::Response::json(200, fs::success_envelope({}));
}

Task<Result<void>> DataRelay::store(http::Request& request) {
  ASTER_CO_TRY(const RelayGrant grant,
               urls_.verify("PUT", request.path_args[0], request.raw_query()));
  if (!request.content_length) co_return fail(Errc::bad_request, "Content-Length is needed");
  ASTER_CO_TRY(const PolicyLimits limits, backends_.limits(grant.policy));
  if (*request.content_length > limits.max_object) {
    co_return fail(Errc::too_large, "the object is larger than the policy allows");
  }
  ASTER_CO_TRY(const auto driver, backends_.driver(grant.policy));
  ObjectUpload body{.body = request.body, .length = *request.content_length};
  ASTER_CO_TRY(body.crc32c, announced_crc32c(request));
  const Result<void> stored = co_await driver->put(grant.object, std::move(body));
  if (!stored.ok()) co_return seen_from_outside(stored.error());
  co_return ok();
}

Task<http::Response> DataRelay::download(http::Request& request) {
  Result<ObjectBody> found = co_await open(request);
  if (!found.ok()) {
    ASTER_LOG(warn, "relay_failed", {"op", "get"}, {"req", request.request_id},
              {"err", found.error()});
    co_return fs_failure(found.error());
  }
  ObjectBody body = std::move(found).value();
  http::Response answer;
  answer.status = body.partial ? 206 : 200;
  answer.headers = {{"Content-Type", "application/octet-stream"},
                    {"Accept-Ranges", "bytes"},
                    {"Cache-Control", "private, no-store"}};
  if (body.partial)
    answer.headers.emplace_back("Content-Range", content_range(body.range, body.size));
  if (auto* file = std::get_if<http::FileBody>(&body.bytes)) {
    answer.body = std::move(*file);
  } else {
    answer.body = http::StreamBody{std::get<1>(std::move(body.bytes)), body.range.length};
  }
  co_return answer;
}

Task<Result<ObjectBody>> DataRelay::open(http::Request& request) {
  ASTER_CO_TRY(const RelayGrant grant,
               urls_.verify("GET", request.path_args[0], request.raw_query()));
  ASTER_CO_TRY(const auto driver, backends_.driver(grant.policy));
  WantedRange wanted;
  if (const std::string* range = request.header("Range")) wanted.header = *range;
  ApiResult<ObjectBody> found = co_await driver->open(grant.object, std::move(wanted));
  if (!found.ok()) co_return seen_from_outside(found.error().to_error());
  co_return std::move(found).value();
}

}  // namespace aster::primary
