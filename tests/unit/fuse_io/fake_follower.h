#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "protocol/base/executor.h"
#include "protocol/base/guarded.h"
#include "protocol/client/http_client.h"

namespace aster::testing {

/// A follower in memory behind HttpClient: PUT stores an object under its URL, ranged GET reads it.
/// Answers come on the executor, like those of the real client. Thread-safe.
class FakeFollower final : public HttpClient {
 public:
  explicit FakeFollower(Executor& executor) : executor_(executor) {}

  struct Exchange {
    std::string method;
    std::string url;
    uint64_t first = 0;  ///< GET: range
    uint64_t last = 0;
    uint64_t bytes = 0;                    ///< body up or down
    std::chrono::milliseconds patience{};  ///< its total timeout
  };
  /// What happens to an exchange instead of being served; nullopt lets it pass.
  using Hook = std::function<std::optional<Result<HttpClientResponse>>(const Exchange&)>;
  void set_hook(Hook hook) { state_.lock()->hook = std::move(hook); }
  /// Exchanges of this method wait (for release(), their timeout, or cancellation).
  void hold(std::string method) { state_.lock()->held_method = std::move(method); }
  void release() {
    std::vector<Completion<Errc>> waiting;
    {
      auto state = state_.lock();
      state->held_method.clear();
      waiting.swap(state->waiting);
    }
    for (const auto& gate : waiting) gate.set(Errc::internal);
  }
  /// Until `n` exchanges wait.
  void wait_until_held(size_t n) {
    auto state = state_.lock();
    changed_.wait(state.native(), [&] { return state->waiting.size() >= n; });
  }
  /// Until `n` exchanges of this method were served.
  void wait_until_served(const std::string& method, size_t n) {
    auto state = state_.lock();
    changed_.wait(state.native(), [&] {
      return static_cast<size_t>(
                 std::count_if(state->log.begin(), state->log.end(),
                               [&](const Exchange& e) { return e.method == method; })) >= n;
    });
  }
  /// Reads of these bytes of the object come with a flipped bit, `times` times.
  void corrupt(const std::string& url, uint64_t offset, int times) {
    state_.lock()->corruptions.push_back({url, offset, times});
  }

  void store(const std::string& url, std::string bytes) {
    state_.lock()->objects[url] = std::move(bytes);
  }
  /// An object of `size` bytes that repeats `pattern`.
  void store_virtual(const std::string& url, uint64_t size, std::string pattern) {
    state_.lock()->virtuals[url] = {size, std::move(pattern)};
  }
  void remove(const std::string& url) { state_.lock()->objects.erase(url); }
  std::optional<std::string> object(const std::string& url) const {
    auto state = state_.lock();
    const auto it = state->objects.find(url);
    if (it == state->objects.end()) return std::nullopt;
    return it->second;
  }
  bool has_virtual(const std::string& url) const { return state_.lock()->virtuals.contains(url); }

  std::vector<Exchange> log() const { return state_.lock()->log; }
  /// Exchanges that had to wait.
  std::vector<Exchange> held() const { return state_.lock()->held; }
  size_t count(const std::string& method) const {
    const auto state = state_.lock();
    size_t n = 0;
    for (const Exchange& exchange : state->log) n += exchange.method == method;
    return n;
  }
  uint64_t bytes(const std::string& method) const {
    const auto state = state_.lock();
    uint64_t n = 0;
    for (const Exchange& e : state->log) n += e.method == method ? e.bytes : 0;
    return n;
  }
  void forget_log() { state_.lock()->log.clear(); }
  /// PUTs to a name that had been used before: must stay 0.
  size_t reused_names() const { return state_.lock()->reused; }

  using HttpClient::send;
  Task<Result<HttpClientResponse>> send(HttpClientRequest request, CancelToken cancel) override {
    Exchange exchange = parse(request);
    const std::optional<Completion<Errc>> gate = gate_for(exchange);
    if (gate) {
      cancel.on_cancel([gate] { gate->set(Errc::interrupted); });
      if (request.total_timeout.count() > 0) {
        executor_.post_after(request.total_timeout, [gate] { gate->set(Errc::timeout); });
      }
      const Completion<Errc> opened = *gate;
      const Errc why = co_await opened;
      if (why != Errc::internal) co_return fail(why, "held");
    }
    co_await executor_.hop();
    if (cancel.cancelled()) co_return fail(Errc::interrupted, "cancelled");
    Hook hook = state_.lock()->hook;
    if (hook) {
      auto instead = hook(exchange);
      if (instead) {
        log_exchange(exchange);
        co_return std::move(*instead);
      }
    }
    if (exchange.method == "PUT") co_return put(std::move(exchange), request);
    auto response = co_await get(std::move(exchange), std::move(request));
    co_return response;
  }

  static HttpClientResponse answer(int status, std::string body = {}) {
    HttpClientResponse response;
    response.status = status;
    response.body_length = body.size();
    response.body = Bytes::from_string(std::move(body));
    return response;
  }

 private:
  struct Corruption {
    std::string url;
    uint64_t offset;
    int times;
  };
  struct Virtual {
    uint64_t size;
    std::string pattern;
  };
  struct State {
    std::map<std::string, std::string> objects;
    std::map<std::string, Virtual> virtuals;
    std::map<std::string, int> puts;
    std::vector<Exchange> log;
    std::vector<Exchange> held;
    std::vector<Corruption> corruptions;
    std::vector<Completion<Errc>> waiting;
    std::string held_method;
    Hook hook;
    size_t reused = 0;
  };

  static Exchange parse(const HttpClientRequest& request) {
    Exchange exchange{request.method, request.url};
    if (const std::string* range = find_header(request.headers, "Range")) {
      std::sscanf(range->c_str(), "bytes=%lu-%lu", &exchange.first, &exchange.last);
    }
    for (const Bytes& piece : request.body) exchange.bytes += piece.size();
    exchange.patience = request.total_timeout;
    return exchange;
  }
  std::optional<Completion<Errc>> gate_for(const Exchange& exchange) {
    auto state = state_.lock();
    if (state->held_method != exchange.method) return std::nullopt;
    state->held.push_back(exchange);
    state->waiting.emplace_back();
    changed_.notify_all();
    return state->waiting.back();
  }
  void log_exchange(const Exchange& exchange) {
    state_.lock()->log.push_back(exchange);
    changed_.notify_all();
  }

  Result<HttpClientResponse> put(Exchange exchange, const HttpClientRequest& request) {
    std::string body;
    for (const Bytes& piece : request.body) body += as_text(piece.view());
    auto state = state_.lock();
    if (state->puts[exchange.url]++ > 0) ++state->reused;
    state->objects[exchange.url] = std::move(body);
    state->log.push_back(std::move(exchange));
    changed_.notify_all();
    return answer(200);
  }

  std::optional<std::pair<std::string, uint64_t>> range_of(const Exchange& exchange) {
    auto state = state_.lock();
    std::string bytes;
    uint64_t size = 0;
    if (const auto it = state->virtuals.find(exchange.url); it != state->virtuals.end()) {
      size = it->second.size;
      const std::string& pattern = it->second.pattern;
      const uint64_t end = std::min(exchange.last + 1, size);
      for (uint64_t at = exchange.first; at < end;) {
        const uint64_t within = at % pattern.size();
        const uint64_t n = std::min(pattern.size() - within, end - at);
        bytes.append(pattern, within, n);
        at += n;
      }
    } else if (const auto found = state->objects.find(exchange.url);
               found != state->objects.end()) {
      size = found->second.size();
      bytes = found->second.substr(exchange.first, exchange.last - exchange.first + 1);
    } else {
      return std::nullopt;
    }
    for (Corruption& c : state->corruptions) {
      if (c.url != exchange.url || c.offset < exchange.first || c.offset > exchange.last) continue;
      if (c.times-- > 0) bytes[c.offset - exchange.first] ^= 1;
    }
    return std::pair(std::move(bytes), size);
  }

  Task<Result<HttpClientResponse>> get(Exchange exchange, HttpClientRequest request) {
    auto range = range_of(exchange);
    if (!range) {
      log_exchange(exchange);
      co_return answer(404);
    }
    const auto& [bytes, size] = *range;
    exchange.bytes = bytes.size();
    log_exchange(exchange);
    HttpClientResponse response = answer(206);
    response.headers.emplace_back("content-range", "bytes " + std::to_string(exchange.first) + "-" +
                                                       std::to_string(exchange.last) + "/" +
                                                       std::to_string(size));
    ASTER_CO_TRY(request.receiver->begin(206, response.headers));
    for (size_t at = 0; at < bytes.size();) {  // in odd pieces, as networks do
      const size_t n = std::min<size_t>(bytes.size() - at, 100'000);
      ASTER_CO_TRY(request.receiver->receive(as_bytes(std::string_view(bytes).substr(at, n))));
      at += n;
    }
    response.body_length = bytes.size();
    co_return response;
  }

  Executor& executor_;
  Guarded<State> state_;
  std::condition_variable changed_;
};

}  // namespace aster::testing
