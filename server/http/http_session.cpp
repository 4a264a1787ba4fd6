#include "server/http/http_session.h"

#include <algorithm>

#include "protocol/base/ids.h"
#include "protocol/base/log.h"
#include "protocol/envelope.h"

namespace aster::http {
namespace {

namespace bhttp = beast::http;

std::string new_request_id() {
  std::string id = random_hex(16);
  id[12] = '4';
  id[16] = "89ab"[id[16] & 3];
  for (const size_t at : {20, 16, 12, 8}) id.insert(at, 1, '-');
  return id;
}

/// A client's own id is kept when it is harmless in logs and headers, so that one id runs through
/// client, primary and follower.
std::string request_id_from(const HeaderList& headers) {
  const std::string* given = find_header(headers, "X-Request-ID");
  const auto harmless = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.';
  };
  if (given && !given->empty() && given->size() <= 64 &&
      std::all_of(given->begin(), given->end(), harmless)) {
    return *given;
  }
  return new_request_id();
}

template <class Head>
Request to_request(const Head& head, std::string peer) {
  Request request;
  request.method = std::string(head.method_string());
  request.target = std::string(head.target());
  for (const auto& field : head) {
    request.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
  }
  request.peer = std::move(peer);
  request.request_id = request_id_from(request.headers);
  return request;
}

bool expects_continue(const Request& request) {
  const std::string* expect = request.header("Expect");
  return expect && beast::iequals(*expect, "100-continue");
}

/// In the words of the caller, as far as its head told them.
template <class Head>
Dialect dialect_of(const Head& head) {
  const auto agent = head.find(bhttp::field::user_agent);
  if (agent == head.end()) return Dialect::str;
  const std::string_view text(agent->value().data(), agent->value().size());
  return dialect_of_user_agent(text).value_or(Dialect::str);
}

Response error_response(Dialect dialect, const ApiError& error) {
  return Response::json(error.http_status(), encode_error(dialect, error));
}

/// What is wrong with a head that the parser refused.
ApiError head_fault(error_code error) {
  if (error == bhttp::error::header_limit || error == bhttp::error::buffer_overflow) {
    return {ApiCode::bad_request, "the request head is too large", 431};
  }
  if (error == bhttp::error::bad_content_length) {
    return {ApiCode::content_length_invalid, "Content-Length is no unsigned 64-bit number"};
  }
  return {ApiCode::bad_request, "malformed request"};
}

bool is_event_stream(const Response& response) {
  const std::string* type = find_header(response.headers, "Content-Type");
  return type && type->starts_with("text/event-stream");
}

/// Silence is the only answer to a connection that ended, was closed or ran out of time.
bool deserves_answer(error_code error) {
  return error.category() == make_error_code(bhttp::error::bad_target).category() &&
         error != bhttp::error::end_of_stream && error != bhttp::error::partial_message;
}

}  // namespace

Session::Session(Socket socket, ServerContext& context)
    : context_(context),
      connection_(std::make_shared<Connection>(std::move(socket), context)),
      writer_(connection_, context, alarm_) {}

Task<void> Session::run() {
  const auto self = shared_from_this();
  const HopTo home = connection_->home();
  co_await home;
  RequestId::set_current({});  // this thread may have worked for another connection before
  auto patience = context_.limits.head_timeout;  // a fresh connection owes a request at once
  bool again = true;
  if (context_.tls) again = co_await connection_->begin(*context_.tls, patience);
  while (again && !context_.draining) {
    idle_ = true;
    const bool arrived = co_await connection_->await_bytes(patience);
    idle_ = false;
    if (!arrived) break;
    again = co_await serve_one();
    patience = context_.limits.idle_timeout;
  }
  connection_->close();
}

Task<bool> Session::serve_one() {
  const auto parser = std::make_shared<HeadParser>();
  parser->header_limit(static_cast<uint32_t>(context_.limits.max_head_bytes));
  parser->body_limit(boost::none);
  const error_code error = co_await connection_->read_head(parser);
  if (error) {
    const bool never = co_await refuse_head(error, dialect_of(parser->get()));
    co_return never;
  }
  const Began began{std::chrono::steady_clock::now(), connection_->received(), connection_->sent()};
  const auto& head = parser->get();
  Request request = to_request(head, connection_->peer());
  request.secure = connection_->secure();
  apply_forwarded(request, context_.trusted_proxies);
  AnswerContext answer{.head_request = head.method() == bhttp::verb::head,
                       .http_1_0 = head.version() < 11,
                       .keep_alive = head.keep_alive() && head.version() >= 11,
                       .request_id = request.request_id};
  RequestBody::Framing framing;
  framing.expect_continue = !answer.http_1_0 && expects_continue(request);
  if (parser->chunked()) {
    framing.chunked = parser;
  } else if (request.header("Transfer-Encoding")) {
    const ApiError fault(ApiCode::bad_request, "unknown transfer encoding", 501);
    Response refused = error_response(dialect_of(head), fault);
    answer.keep_alive = false;
    co_await writer_.send(refused, answer);
    co_await connection_->linger();
    co_return false;
  } else if (const auto length = parser->content_length()) {
    request.content_length = framing.length = *length;
  }
  if (!request.secure && context_.plain.mode != PlainHttp::allow) {
    if (auto refused = answer_plain(request, context_.plain)) {
      answer.keep_alive = false;
      co_await writer_.send(*refused, answer);
      note_answer(request, *refused, began);
      co_await connection_->linger();
      co_return false;
    }
  }
  connection_->restart_pace();
  const auto body = std::make_shared<RequestBody>(connection_, std::move(framing));
  request.body = body;
  Response response = co_await call_handler(request);
  const bool again = co_await finish(response, answer, *body);
  note_answer(request, response, began);
  RequestId::set_current({});
  co_return again;
}

Task<bool> Session::refuse_head(error_code error, Dialect dialect) {
  if (!deserves_answer(error)) co_return false;
  Response refused = error_response(dialect, head_fault(error));
  const std::string id = new_request_id();
  const AnswerContext answer{.keep_alive = false, .request_id = id};
  ASTER_LOG(debug, "malformed request", {"request", id}, {"err", error.message()});
  co_await writer_.send(refused, answer);
  co_await connection_->linger();
  co_return false;
}

Task<Response> Session::call_handler(Request& request) {
  std::string what;
  std::optional<Response> response;
  try {
    RequestId::set_current(RequestId(request.request_id));
    Task<Response> task = context_.router.match(request)(request);
    response = co_await std::move(task);
  } catch (const std::exception& e) {
    what = e.what();
  } catch (...) {
    what = "unknown exception";
  }
  const HopTo home = connection_->home();
  co_await home;
  if (!response) {
    ASTER_LOG(error, "handler threw", {"request", request.request_id}, {"err", what});
    response = error_response(Dialect::str, ApiError(ApiCode::internal_server_error));
  }
  co_return std::move(*response);
}

Task<bool> Session::finish(Response& response, AnswerContext answer, RequestBody& body) {
  answer.keep_alive =
      answer.keep_alive && !response.close_connection && !context_.draining && body.drainable();
  const bool streams = std::holds_alternative<StreamBody>(response.body) &&
                       !std::get<StreamBody>(response.body).length;
  endless_ = is_event_stream(response);
  if (endless_ && context_.draining) alarm_->ring();
  const bool sent = co_await writer_.send(response, answer);
  endless_ = false;
  body.detach();
  if (!sent || (streams && answer.http_1_0)) co_return false;
  const bool drained = co_await body.drain();
  if (drained && answer.keep_alive) co_return true;
  if (!drained || connection_->has_buffered()) co_await connection_->linger();
  co_return false;
}

void Session::note_answer(const Request& request, const Response& response,
                          const Began& began) const {
  using std::chrono::duration_cast;
  // The query may hold a signature; paths are for debugging only.
  const auto took = std::chrono::steady_clock::now() - began.when;
  if (context_.observer != nullptr) {
    context_.observer->on_answered({request, response.status, took,
                                    connection_->received() - began.received,
                                    connection_->sent() - began.sent});
  }
  ASTER_LOG(debug, "request", {"request", request.request_id}, {"method", request.method},
            {"path", request.raw_path()}, {"status", response.status}, {"peer", request.peer},
            {"took_us", duration_cast<std::chrono::microseconds>(took).count()});
}

void Session::begin_drain() {
  asio::post(connection_->strand(), [self = shared_from_this()] {
    if (self->idle_) self->connection_->close();
    if (self->endless_) self->alarm_->ring();
  });
}

void Session::kill() {
  asio::post(connection_->strand(), [self = shared_from_this()] {
    self->connection_->close();
    self->alarm_->ring();
  });
}

}  // namespace aster::http
