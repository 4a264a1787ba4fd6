#pragma once

#include <optional>
#include <string>

#include "protocol/api_error.h"
#include "server/follower/binding_store.h"
#include "server/http/http.h"

/// Browsers at presigned URLs (protocol section 8).
namespace aster::follower {

/// What CORS says to one request on an object path.
struct CorsDecision {
  std::string origin;                     ///< set when cross-origin headers belong on the answer
  std::optional<http::Response> refusal;  ///< 403 without a body
  bool applies() const { return !origin.empty(); }
};

/// For GET, PUT and OPTIONS below objects/. A malformed Origin is
/// validation.request_origin_invalid, whatever the query says; without an access key in the query
/// nothing else happens.
ApiResult<CorsDecision> decide_cors(const http::Request& request, const BindingStore& store);

/// The answer to an OPTIONS that decide_cors() allowed; nullopt when it is no preflight.
ApiResult<std::optional<http::Response>> preflight(const http::Request& request,
                                                   const CorsDecision& cors);

/// Adds what the browser needs to read the answer, also that of a refusal.
void add_cors_headers(http::Response& response, const CorsDecision& cors, bool is_put);

}  // namespace aster::follower
