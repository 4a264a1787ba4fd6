#include "server/follower/cors.h"

#include <algorithm>

#include "protocol/base_url.h"
#include "protocol/http_text.h"
#include "protocol/sign/canonical_request.h"

namespace aster::follower {
namespace {

constexpr std::string_view kVaryAll =
    "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

http::Response refused() {
  http::Response out;
  out.status = 403;
  out.headers.emplace_back("Vary", kVaryAll);
  return out;
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

/// True when every header asked for is one of ours; bad_request when the list cannot be read.
ApiResult<bool> headers_allowed(std::string_view list) {
  bool allowed = true;
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    const std::string_view name = trim(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
    if (name.empty()) continue;
    if (!is_token(name)) return ApiError(ApiCode::bad_request, "unreadable list of header names");
    allowed = allowed &&
              (equals_ignoring_case(name, "content-type") || equals_ignoring_case(name, "range"));
  }
  return allowed;
}

}  // namespace

ApiResult<CorsDecision> decide_cors(const http::Request& request, const BindingStore& store) {
  CorsDecision out;
  const std::string* header = request.header("Origin");
  if (!header) return out;
  const Result<std::string> origin = normalize_origin(*header);
  if (!origin.ok()) {
    return ApiError(ApiCode::request_origin_invalid, origin.error().context);
  }
  const auto query = http::parse_query(request.raw_query());
  const auto key =
      query.ok() ? http::query_value(*query, sign::kAccessKeyQuery) : std::optional<std::string>();
  if (!key || key->empty()) return out;
  const auto binding = store.find(*key);
  if (!binding || !binding->is_enabled || split_base_url(binding->master_url).origin != *origin) {
    out.refusal = refused();
    return out;
  }
  out.origin = *origin;
  return out;
}

ApiResult<std::optional<http::Response>> preflight(const http::Request& request,
                                                   const CorsDecision& cors) {
  const std::string* method = request.header("Access-Control-Request-Method");
  if (!method || !cors.applies()) return std::optional<http::Response>();
  if (*method != "GET" && *method != "PUT") return std::optional(refused());
  if (const std::string* headers = request.header("Access-Control-Request-Headers")) {
    ASTER_TRY(const bool allowed, headers_allowed(*headers));
    if (!allowed) return std::optional(refused());
  }
  http::Response out;
  out.status = 204;
  out.headers = {{"Access-Control-Allow-Origin", cors.origin},
                 {"Access-Control-Allow-Credentials", "true"},
                 {"Access-Control-Allow-Methods", "GET, PUT, OPTIONS"},
                 {"Access-Control-Allow-Headers", "content-type, range"},
                 {"Access-Control-Max-Age", "3600"},
                 {"Vary", std::string(kVaryAll)}};
  return std::optional(std::move(out));
}

void add_cors_headers(http::Response& response, const CorsDecision& cors, bool is_put) {
  if (!cors.applies()) return;
  response.headers.emplace_back("Access-Control-Allow-Origin", cors.origin);
  response.headers.emplace_back("Access-Control-Allow-Credentials", "true");
  response.headers.emplace_back("Vary", "Origin");
  response.headers.emplace_back(
      "Access-Control-Expose-Headers",
      is_put ? "ETag"
             : "Accept-Ranges, Cache-Control, Content-Disposition, Content-Length, Content-Range, "
               "Content-Type, ETag");
}

}  // namespace aster::follower
