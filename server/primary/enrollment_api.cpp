#include "server/primary/enrollment_api.h"

#include "protocol/base/log.h"
#include "protocol/envelope.h"
#include "server/primary/api_call.h"

namespace aster::primary {
namespace {

Dialect dialect_of(const http::Request& request) {
  std::optional<std::string_view> agent;
  if (const std::string* header = request.header("User-Agent")) agent = *header;
  return choose_dialect(agent, std::nullopt);
}

http::Response reply(const Result<std::string>& outcome, Dialect dialect) {
  if (outcome.ok()) return http::Response::json(200, encode_success(dialect, *outcome));
  ApiError error(outcome.error());
  if (outcome.failed_with(Errc::too_large)) error.status = 413;  // a body, not a file
  return http::Response::json(error.http_status(), encode_error(dialect, error));
}

Task<http::Response> unknown_endpoint(http::Request&) {
  co_return failure_response(ApiError(ApiCode::endpoint_not_found, "no such endpoint"));
}

Task<http::Response> alive(http::Request&) {
  co_return http::Response::json(200, "{\"status\":\"ok\"}");
}

Task<http::Response> ready(std::function<Task<Result<void>>()> check) {
  const Result<void> usable = co_await check();
  if (usable.ok()) {
    co_return http::Response::json(200, encode_success(Dialect::str, "{\"status\":\"ready\"}"));
  }
  ASTER_LOG(warn, "not_ready", {"err", usable.error()});
  ApiError shown(ApiCode::database_error, "Database unavailable", 400);
  co_return http::Response::json(503, encode_error(Dialect::str, shown));
}

}  // namespace

void EnrollmentApi::add_routes(http::Router& router) {
  router.add("POST", "/api/v1/public/remote-enrollment/redeem",
             [this](http::Request& request) { return redeem(request); });
  router.add("POST", "/api/v1/public/remote-enrollment/ack",
             [this](http::Request& request) { return acknowledge(request); });
}

Task<http::Response> EnrollmentApi::redeem(http::Request& request) {
  const Dialect dialect = dialect_of(request);
  const Result<std::string> outcome = co_await try_redeem(request, dialect);
  if (!outcome.ok()) {
    ASTER_LOG(warn, "enrollment_refused", {"peer", request.peer}, {"err", outcome.error()});
  }
  co_return reply(outcome, dialect);
}

Task<Result<std::string>> EnrollmentApi::try_redeem(http::Request& request, Dialect dialect) {
  ASTER_CO_TRY(const std::string body, co_await read_body(request, kMaxApiBody));
  ASTER_CO_TRY(RedeemRequest asked, from_json<RedeemRequest>(body));
  ASTER_CO_TRY(const RedeemAnswer answer,
               co_await enrollment_.redeem(std::move(asked.token), dialect));
  co_return to_json(answer);
}

Task<http::Response> EnrollmentApi::acknowledge(http::Request& request) {
  const Result<std::string> outcome = co_await try_acknowledge(request);
  co_return reply(outcome, dialect_of(request));
}

Task<Result<std::string>> EnrollmentApi::try_acknowledge(http::Request& request) {
  ASTER_CO_TRY(const std::string body, co_await read_body(request, kMaxApiBody));
  ASTER_CO_TRY(AckRequest asked, from_json<AckRequest>(body));
  ASTER_CO_TRY(co_await enrollment_.acknowledge(std::move(asked.ack_token)));
  co_return std::string();
}

void add_health_routes(http::Router& router, std::function<Task<Result<void>>()> check) {
  for (const char* method : {"GET", "HEAD"}) {
    router.add(method, "/health", alive);
    router.add(method, "/health/ready", [check](http::Request&) { return ready(check); });
  }
  router.set_fallback(unknown_endpoint);
}

}  // namespace aster::primary
