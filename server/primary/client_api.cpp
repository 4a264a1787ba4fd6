#include "server/primary/client_api.h"

#include "protocol/base/log.h"
#include "protocol/fs/json.h"
#include "protocol/http_text.h"
#include "server/http/status_map.h"

namespace aster::primary {
namespace {

/// An event stream that ends, with its session, as soon as the token or what it gave access to is
/// gone. The streams are never silent for longer than a heartbeat, so neither is the watch.
class WatchedStream final : public ByteSource {
 public:
  WatchedStream(std::shared_ptr<ByteSource> inner, std::string token, Caller caller,
                Accounts& accounts, Workspaces& workspaces, NamespaceService& namespaces)
      : inner_(std::move(inner)),
        token_(std::move(token)),
        caller_(std::move(caller)),
        accounts_(accounts),
        workspaces_(workspaces),
        namespaces_(namespaces) {}

  Task<Result<size_t>> read(std::span<std::byte> buffer) override {
    ASTER_CO_TRY(const size_t n, co_await inner_->read(buffer));
    if (n == 0) co_return n;
    Result<Identity> who = co_await accounts_.authenticate(token_);
    if (!who.ok()) co_return co_await refused(std::move(who).error());
    const Result<Caller> caller = co_await workspaces_.resume(std::move(*who), caller_.session);
    if (!caller.ok()) co_return co_await refused(caller.error());
    co_return n;
  }
  void abandon() noexcept override { inner_->abandon(); }

 private:
  /// The end of the stream. A database that is away for a moment is no reason.
  Task<Result<size_t>> refused(Error error) {
    const bool final = error.code == Errc::token_invalid || error.code == Errc::forbidden;
    if (!final) co_return error;  // the client comes again
    ASTER_LOG(info, "session_refused", {"session", caller_.session.value}, {"err", error});
    ASTER_CO_TRY(co_await namespaces_.close_session(caller_));
    co_return size_t{0};
  }

  const std::shared_ptr<ByteSource> inner_;
  const std::string token_;
  const Caller caller_;
  Accounts& accounts_;
  Workspaces& workspaces_;
  NamespaceService& namespaces_;
};

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
  add("POST", "/api/v1/fs/lease", &ClientApi::lease);
  add("POST", "/api/v1/fs/lock", &ClientApi::lock);
  add("GET", "/api/v1/fs/events", &ClientApi::events);
}

Task<Result<Identity>> ClientApi::identify(const http::Request& request) {
  co_return co_await gate_.identify(request, Access::token);
}

Task<Result<Caller>> ClientApi::caller_of(Identity who, SessionId session,
                                          const http::Request& request) {
  Caller caller;
  if (session) {
    ASTER_CO_TRY(caller, co_await workspaces_.resume(std::move(who), session));
  } else {
    ASTER_CO_TRY(const QueryList query, form_decode_query(request.raw_query()));
    std::string selector = http::query_value(query, "workspace").value_or(std::string());
    ASTER_CO_TRY(caller, co_await workspaces_.enter(std::move(who), std::move(selector)));
  }
  ASTER_CO_TRY(check_whole_tree(caller));
  co_return caller;
}

Task<http::Response> ClientApi::open_session(http::Request& request) {
  const Result<std::string> outcome = co_await try_open_session(request);
  co_return reply(outcome);
}

Task<Result<std::string>> ClientApi::try_open_session(http::Request& request) {
  ASTER_CO_TRY(const Identity who, co_await identify(request));
  ASTER_CO_TRY(const std::string body, co_await read_body(request, kMaxApiBody));
  ASTER_CO_TRY(fs::SessionRequest asked, fs::decode_session_request(body));
  ASTER_CO_TRY(const Caller caller, co_await workspaces_.enter(who, asked.workspace));
  ASTER_CO_TRY(check_whole_tree(caller));
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
  ASTER_CO_TRY(Identity who, co_await identify(request));
  ASTER_CO_TRY(const uint64_t session, path_number(request.path_args[0]));
  ASTER_CO_TRY(const Caller known, co_await caller_of(std::move(who), SessionId(session), request));
  ASTER_CO_TRY(co_await namespaces_.close_session(known));
  co_return std::string();
}

Task<http::Response> ClientApi::batch(http::Request& request) {
  const Result<std::string> outcome = co_await try_batch(request);
  co_return reply(outcome);
}

Task<Result<std::string>> ClientApi::try_batch(http::Request& request) {
  ASTER_CO_TRY(Identity who, co_await identify(request));
  ASTER_CO_TRY(const std::string body, co_await read_body(request, fs::kBatchBytesMax));
  ASTER_CO_TRY(fs::BatchRequest batch, fs::decode_batch_request(body));
  ASTER_CO_TRY(const Caller known, co_await caller_of(std::move(who), batch.session, request));
  fs::BatchAnswer answer;
  answer.results = co_await namespaces_.apply(known, std::move(batch));
  co_return fs::encode(answer);
}

Task<http::Response> ClientApi::acknowledge(http::Request& request) {
  const Result<std::string> outcome = co_await try_acknowledge(request);
  co_return reply(outcome);
}

Task<Result<std::string>> ClientApi::try_acknowledge(http::Request& request) {
  ASTER_CO_TRY(Identity who, co_await identify(request));
  ASTER_CO_TRY(const std::string body, co_await read_body(request, kMaxApiBody));
  ASTER_CO_TRY(const fs::Ack ack, fs::decode_ack(body));
  ASTER_CO_TRY(const Caller caller, co_await caller_of(std::move(who), ack.session, request));
  ASTER_CO_TRY(const fs::AckAnswer answer, namespaces_.acknowledge(caller, ack));
  co_return fs::encode(answer);
}

Task<http::Response> ClientApi::lease(http::Request& request) {
  const Result<std::string> outcome = co_await try_lease(request);
  co_return reply(outcome);
}

Task<Result<std::string>> ClientApi::try_lease(http::Request& request) {
  ASTER_CO_TRY(Identity who, co_await identify(request));
  ASTER_CO_TRY(const std::string body, co_await read_body(request, kMaxApiBody));
  ASTER_CO_TRY(fs::LeaseRequest asked, fs::decode_lease_request(body));
  ASTER_CO_TRY(const Caller caller, co_await caller_of(std::move(who), asked.session, request));
  ASTER_CO_TRY(const fs::LeaseAnswer answer, co_await namespaces_.lease(caller, std::move(asked)));
  co_return fs::encode(answer);
}

Task<http::Response> ClientApi::lock(http::Request& request) {
  const Result<std::string> outcome = co_await try_lock(request);
  co_return reply(outcome);
}

Task<Result<std::string>> ClientApi::try_lock(http::Request& request) {
  ASTER_CO_TRY(Identity who, co_await identify(request));
  ASTER_CO_TRY(const std::string body, co_await read_body(request, kMaxApiBody));
  ASTER_CO_TRY(const fs::LockRequest asked, fs::decode_lock_request(body));
  ASTER_CO_TRY(const Caller caller, co_await caller_of(std::move(who), asked.session, request));
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
  ASTER_CO_TRY(const std::string token, bearer_token(request));
  ASTER_CO_TRY(Identity who, co_await identify(request));
  ASTER_CO_TRY(const QueryList query, form_decode_query(request.raw_query()));
  const auto session =
      parse_decimal<uint64_t>(http::query_value(query, "session").value_or(std::string()));
  if (!session || *session == 0) co_return fail(Errc::bad_request, "session is missing");
  ASTER_CO_TRY(const Caller known,
               co_await caller_of(std::move(who), SessionId(*session), request));
  ASTER_CO_TRY(auto stream, namespaces_.events(
                                known, http::query_value(query, "cursor").value_or(std::string())));
  co_return std::shared_ptr<ByteSource>(std::make_shared<WatchedStream>(
      std::move(stream), token, known, accounts_, workspaces_, namespaces_));
}

}  // namespace aster::primary
