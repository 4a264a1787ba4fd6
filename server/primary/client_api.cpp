#include "server/primary/client_api.h"

#include "protocol/base/log.h"
#include "protocol/fs/json.h"
#include "protocol/http_text.h"
#include "server/http/status_map.h"

namespace aster::primary {
namespace {

http::Response reply(const Result<std::string>& outcome) {
  if (!outcome.ok()) return fs_failure(outcome.error());
  return http::Response::json(200, fs::success_envelope(*outcome));
}

}  // namespace

http::Response fs_failure(const Error& error) {
  const int status = http::status_of(error.code).status;
  if (error.code == Errc::internal) {
    ASTER_LOG(error, "request_failed", {"err", error});
    return http::Response::json(status, fs::error_envelope(fail(Errc::internal, "internal error")));
  }
  http::Response answer = http::Response::json(status, fs::error_envelope(error));
  answer.close_connection = error.code == Errc::too_large;  // the body was not read
  return answer;
}

void ClientApi::add_routes(http::Router& router) {
  const auto add = [&](const char* method, const char* path, auto handler) {
    router.add(method, path,
               [this, handler](http::Request& request) { return (this->*handler)(request); });
  };
  add("POST", "/api/v1/fs/session", &ClientApi::open_session);
  add("DELETE", "/api/v1/fs/session/{}", &ClientApi::close_session);
  add("POST", "/api/v1/fs/batch", &ClientApi::batch);
  add("POST", "/api/v1/fs/ack", &ClientApi::acknowledge);
  add("POST", "/api/v1/fs/lock", &ClientApi::lock);
  add("GET", "/api/v1/fs/events", &ClientApi::events);
}

Task<Result<Caller>> ClientApi::identify(const http::Request& request) {
  ASTER_CO_TRY(const Identity who, co_await gate_.identify(request, Access::user));
  co_return Caller{.user = who.user, .workspace = who.workspace};
}

Result<Caller> ClientApi::with_session(Caller caller, SessionId session) {
  caller.session = session;
  if (session && !namespaces_.touch_session(caller)) {
    return fail(Errc::stale_handle, "the session has ended");
  }
  return caller;
}

Task<http::Response> ClientApi::open_session(http::Request& request) {
  const Result<std::string> outcome = co_await try_open_session(request);
  co_return reply(outcome);
}

Task<Result<std::string>> ClientApi::try_open_session(http::Request& request) {
  ASTER_CO_TRY(const Identity who, co_await gate_.identify(request, Access::user));
  const Caller caller{.user = who.user, .workspace = who.workspace};
  ASTER_CO_TRY(const std::string body, co_await read_body(request, kMaxApiBody));
  ASTER_CO_TRY(fs::SessionRequest asked, fs::decode_session_request(body));
  ASTER_CO_TRY(fs::SessionAnswer answer,
               co_await namespaces_.open_session(caller, std::move(asked)));
  answer.user = who.name;
  co_return fs::encode(answer);
}

Task<http::Response> ClientApi::close_session(http::Request& request) {
  const Result<std::string> outcome = co_await try_close_session(request);
  co_return reply(outcome);
}

Task<Result<std::string>> ClientApi::try_close_session(http::Request& request) {
  ASTER_CO_TRY(const Caller caller, co_await identify(request));
  ASTER_CO_TRY(const uint64_t session, path_number(request.path_args[0]));
  ASTER_CO_TRY(const Caller known, with_session(caller, SessionId(session)));
  ASTER_CO_TRY(co_await namespaces_.close_session(known));
  co_return std::string();
}

Task<http::Response> ClientApi::batch(http::Request& request) {
  const Result<std::string> outcome = co_await try_batch(request);
  co_return reply(outcome);
}

Task<Result<std::string>> ClientApi::try_batch(http::Request& request) {
  ASTER_CO_TRY(const Caller caller, co_await identify(request));
  ASTER_CO_TRY(const std::string body, co_await read_body(request, fs::kBatchBytesMax));
  ASTER_CO_TRY(fs::BatchRequest batch, fs::decode_batch_request(body));
  ASTER_CO_TRY(const Caller known, with_session(caller, batch.session));
  fs::BatchAnswer answer;
  answer.results = co_await namespaces_.apply(known, std::move(batch));
  co_return fs::encode(answer);
}

Task<http::Response> ClientApi::acknowledge(http::Request& request) {
  const Result<std::string> outcome = co_await try_acknowledge(request);
  co_return reply(outcome);
}

Task<Result<std::string>> ClientApi::try_acknowledge(http::Request& request) {
  ASTER_CO_TRY(Caller caller, co_await identify(request));
  ASTER_CO_TRY(const std::string body, co_await read_body(request, kMaxApiBody));
  ASTER_CO_TRY(const fs::Ack ack, fs::decode_ack(body));
  caller.session = ack.session;
  ASTER_CO_TRY(const fs::AckAnswer answer, namespaces_.acknowledge(caller, ack));
  co_return fs::encode(answer);
}

Task<http::Response> ClientApi::lock(http::Request& request) {
  const Result<std::string> outcome = co_await try_lock(request);
  co_return reply(outcome);
}

Task<Result<std::string>> ClientApi::try_lock(http::Request& request) {
  ASTER_CO_TRY(Caller caller, co_await identify(request));
  ASTER_CO_TRY(const std::string body, co_await read_body(request, kMaxApiBody));
  ASTER_CO_TRY(const fs::LockRequest asked, fs::decode_lock_request(body));
  caller.session = asked.session;
  ASTER_CO_TRY(const fs::LockAnswer answer, co_await namespaces_.lock(caller, asked));
  co_return fs::encode(answer);
}

Task<http::Response> ClientApi::events(http::Request& request) {
  Result<std::shared_ptr<ByteSource>> stream = co_await try_events(request);
  if (!stream.ok()) co_return fs_failure(stream.error());
  http::Response answer;
  answer.headers = {{"Content-Type", "text/event-stream"}, {"Cache-Control", "no-store"}};
  answer.body = http::StreamBody{std::move(*stream), std::nullopt};
  co_return answer;
}

Task<Result<std::shared_ptr<ByteSource>>> ClientApi::try_events(http::Request& request) {
  ASTER_CO_TRY(const Caller caller, co_await identify(request));
  ASTER_CO_TRY(const QueryList query, form_decode_query(request.raw_query()));
  const auto session =
      parse_decimal<uint64_t>(http::query_value(query, "session").value_or(std::string()));
  if (!session || *session == 0) co_return fail(Errc::bad_request, "session is missing");
  ASTER_CO_TRY(const Caller known, with_session(caller, SessionId(*session)));
  co_return namespaces_.events(known, http::query_value(query, "cursor").value_or(std::string()));
}

}  // namespace aster::primary
