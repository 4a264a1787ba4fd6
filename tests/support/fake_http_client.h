#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "protocol/base/guarded.h"
#include "protocol/client/http_client.h"

namespace aster::testing {

/// An HttpClient that plays a script: each exchange takes the next step, and `otherwise` once the
/// script is played. Without either it answers unavailable. Keeps the contract of HttpClient: a
/// streamed body is pulled to its end, a 2xx body goes to the request's sink. Thread-safe.
class FakeHttpClient final : public HttpClient {
 public:
  /// What the other side saw of an exchange.
  struct Seen {
    std::string method;
    std::string url;
    HeaderList headers;
    std::string body;
  };
  using Handler = std::function<Result<HttpClientResponse>(const Seen&)>;

  /// Next step: an answer with this status and body.
  void answer(int status, std::string body = {}, HeaderList headers = {}) {
    const HttpClientResponse response = made(status, std::move(body), std::move(headers));
    then([response](const Seen&) { return Result<HttpClientResponse>(response); });
  }
  /// Next step: the exchange fails, e.g. Errc::unavailable for a lost connection.
  void fail_with(Errc code, std::string context = "scripted failure") {
    const Error error{code, std::move(context)};
    then([error](const Seen&) { return Result<HttpClientResponse>(error); });
  }
  /// Next step: whatever `handler` says.
  void then(Handler handler) { state_.lock()->script.push_back({std::move(handler), {}}); }
  /// Next step: the exchange hangs until the returned completion is set or it is cancelled
  /// (interrupted), then is answered by `handler`. It goes on on the thread that sets it.
  Completion<bool> hold(Handler handler) {
    auto gate = std::make_shared<Completion<bool>>();
    state_.lock()->script.push_back({std::move(handler), gate});
    return *gate;
  }
  /// Answers whatever comes after the script.
  void otherwise(Handler handler) { state_.lock()->fallback = std::move(handler); }

  std::vector<Seen> requests() const { return state_.lock()->seen; }
  size_t request_count() const { return state_.lock()->seen.size(); }

  static HttpClientResponse made(int status, std::string body = {}, HeaderList headers = {}) {
    HttpClientResponse response;
    response.status = status;
    response.headers = std::move(headers);
    response.body_length = body.size();
    response.body = Bytes::from_string(std::move(body));
    return response;
  }

  using HttpClient::send;
  Task<Result<HttpClientResponse>> send(HttpClientRequest request, CancelToken cancel) override {
    if (cancel.cancelled()) co_return fail(Errc::interrupted, "cancelled");
    ASTER_CO_TRY(std::string body, co_await collect(request));
    const Seen seen{request.method, request.url, request.headers, std::move(body)};
    Step step = next_step(seen);
    if (step.gate) {
      const Completion<bool> gate = *step.gate;
      cancel.on_cancel([gate] { gate.set(false); });
      const bool released = co_await gate;
      if (!released) co_return fail(Errc::interrupted, "cancelled");
    }
    ASTER_CO_TRY(HttpClientResponse response, step.handler(seen));
    ASTER_CO_TRY(co_await deliver(request, response));
    co_return response;
  }

 private:
  struct Step {
    Handler handler;
    std::shared_ptr<Completion<bool>> gate;
  };
  struct State {
    std::deque<Step> script;
    Handler fallback;
    std::vector<Seen> seen;
  };

  Step next_step(const Seen& seen) {
    auto state = state_.lock();
    state->seen.push_back(seen);
    if (!state->script.empty()) {
      Step step = std::move(state->script.front());
      state->script.pop_front();
      return step;
    }
    if (state->fallback) return {state->fallback, {}};
    return {[](const Seen& s) -> Result<HttpClientResponse> {
              return fail(Errc::unavailable, "no answer scripted for " + s.method + " " + s.url);
            },
            {}};
  }

  static Task<Result<std::string>> collect(const HttpClientRequest& request) {
    std::string body;
    for (const Bytes& piece : request.body) body += as_text(piece.view());
    while (request.source && body.size() < request.source_length) {
      std::vector<std::byte> buffer(64 * 1024);
      ASTER_CO_TRY(const size_t n, co_await request.source->read(buffer));
      if (n == 0) co_return fail(Errc::io_error, "the body ended early");
      body += as_text(ByteView(buffer).first(n));
    }
    co_return body;
  }

  static Task<Result<void>> deliver(const HttpClientRequest& request,
                                    HttpClientResponse& response) {
    const bool success = response.status >= 200 && response.status < 300;
    response.body_length = response.body.size();
    if (request.on_headers) request.on_headers(response.status, response.headers);
    if (success && request.sink) {
      const Bytes body = std::exchange(response.body, Bytes());
      ASTER_CO_TRY(co_await request.sink->write(body.view()));
    } else if (response.body.size() > request.max_body) {
      co_return fail(Errc::too_large, "the answer's body");
    }
    co_return ok();
  }

  Guarded<State> state_;
};

}  // namespace aster::testing
