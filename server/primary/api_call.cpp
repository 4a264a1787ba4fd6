#include "server/primary/api_call.h"

#include "protocol/base/log.h"
#include "protocol/envelope.h"
#include "protocol/http_text.h"

namespace aster::primary {
namespace {

constexpr std::string_view kBearer = "Bearer ";

/// The protocol's table gives driver failures of a follower; here their nearer statuses serve.
int status_of(const ApiError& error) {
  if (error.code == ApiCode::storage_transient) return 503;
  if (error.code == ApiCode::storage_unsupported) return 501;
  if (error.code == ApiCode::file_too_large) return 413;
  return error.http_status();
}

}  // namespace

Result<std::string> bearer_token(const http::Request& request) {
  const std::string* header = request.header("Authorization");
  if (header == nullptr) return fail(Errc::token_invalid, "a bearer token is needed");
  const std::string_view value = trim(*header);
  if (value.size() <= kBearer.size() ||
      !equals_ignoring_case(value.substr(0, kBearer.size()), kBearer)) {
    return fail(Errc::token_invalid, "Authorization is no bearer token");
  }
  return std::string(trim(value.substr(kBearer.size())));
}

Task<Result<std::string>> read_body(http::Request& request, size_t limit) {
  std::string body;
  const uint64_t announced = request.content_length.value_or(0);
  if (announced > limit) co_return fail(Errc::too_large, "the request body");
  body.reserve(announced);
  std::vector<std::byte> piece(16 * 1024);
  while (true) {
    ASTER_CO_TRY(const size_t n, co_await request.body->read(piece));
    if (n == 0) co_return body;
    if (body.size() + n > limit) co_return fail(Errc::too_large, "the request body");
    body.append(as_text(ByteView(piece.data(), n)));
  }
}

http::Response failure_response(const ApiError& error) {
  const int status = status_of(error);
  if (error.code == ApiCode::internal_server_error) {
    ASTER_LOG(error, "request_failed", {"err", error.message});
    return http::Response::json(status, encode_error(Dialect::str, error));
  }
  // The encoder hides the text of a 5xx, so it is told the status apart.
  ApiError shown = error;
  shown.status = 400;
  http::Response answer = http::Response::json(status, encode_error(Dialect::str, shown));
  answer.close_connection = error.code == ApiCode::file_too_large;  // the body was not read
  return answer;
}

Result<uint64_t> path_number(const std::string& text) {
  const auto number = parse_decimal<uint64_t>(text);
  if (!number || *number == 0) return fail(Errc::not_found, "no such id");
  return *number;
}

http::Handler ApiGate::wrap(Access access, ApiHandler handler) const {
  return [this, access, handler = std::move(handler)](http::Request& request) {
    return run(request, access, handler);
  };
}

Task<Result<Identity>> ApiGate::identify(const http::Request& request, Access access) const {
  ASTER_CO_TRY(const std::string token, bearer_token(request));
  ASTER_CO_TRY(Identity who, co_await accounts_.authenticate(token));
  if (access != Access::token && who.scope != nullptr) {
    co_return fail(Errc::forbidden, "the token is limited to files: log in for this");
  }
  if (access == Access::admin && who.role != db::UserRole::admin) {
    co_return fail(Errc::forbidden, "this needs an administrator");
  }
  co_return who;
}

Task<http::Response> ApiGate::run(http::Request& request, Access access,
                                  const ApiHandler& handler) const {
  const ApiResult<ApiReply> reply = co_await call(request, access, handler);
  if (!reply.ok()) co_return failure_response(reply.error());
  co_return http::Response::json(reply->status, encode_success(Dialect::str, reply->data));
}

Task<ApiResult<ApiReply>> ApiGate::call(http::Request& request, Access access,
                                        const ApiHandler& handler) const {
  Identity who;
  if (access != Access::anyone) {
    ASTER_CO_TRY(who, co_await identify(request, access));
  }
  ASTER_CO_TRY(std::string body, co_await read_body(request, kMaxApiBody));
  ApiCall prepared{request, std::move(who), std::move(body)};
  co_return co_await handler(std::move(prepared));
}

}  // namespace aster::primary
