#include "protocol/client/curl_http_client.h"

#include <curl/curl.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <limits>
#include <map>
#include <thread>
#include <unordered_map>
#include <vector>

#include "protocol/base/check.h"
#include "protocol/base/log.h"
#include "protocol/client/curl_exchange.h"

namespace aster {
namespace {

using CurlMulti = CHandle<CURLM, curl_multi_cleanup>;

constexpr size_t kIdleHandles = 64;

void initialise_curl_once() {
  static const CURLcode done = curl_global_init(CURL_GLOBAL_DEFAULT);
  ASTER_CHECK(done == CURLE_OK);
}

/// What the log tells of an exchange. Not the query: it may hold a signature.
struct LogLine {
  std::string method;
  std::string host;
  std::string path;
  std::string request_id;
};

LogLine line_of(const HttpClientRequest& request) {
  const std::string_view host = authority_of(request.url);
  const std::string_view url = request.url;
  std::string_view path = url.substr(static_cast<size_t>(host.data() + host.size() - url.data()));
  path = path.substr(0, path.find('?'));
  return {request.method, std::string(host), std::string(path),
          *find_header(request.headers, "X-Request-ID")};
}

void log_exchange(const LogLine& line, const Result<HttpClientResponse>& result, SteadyTime began) {
  if (line.method.empty()) return;
  const auto took = std::chrono::steady_clock::now() - began;
  log::write(log::Level::debug, "http_exchange",
             {{"request", line.request_id},
              {"method", line.method},
              {"host", line.host},
              {"path", line.path},
              {"status", result.ok() ? std::to_string(result->status) : result.error().message()},
              {"took_us", std::chrono::duration_cast<std::chrono::microseconds>(took).count()}});
}

}  // namespace

/// The transfer thread and all it owns. Other threads only queue commands and wake it.
class CurlHttpClient::Transfer : public std::enable_shared_from_this<Transfer> {
 public:
  Transfer(CurlHttpClientOptions options, Executor& executor);

  void begin() {
    thread_ = std::thread([this] { run(); });
  }
  /// Ends every exchange and joins.
  void end();

  void submit(HttpClientRequest request, const CancelToken& cancel, uint64_t& registration,
              Completion<Result<HttpClientResponse>>& done);

 private:
  using ExchangePtr = std::shared_ptr<CurlExchange>;
  using Checks = std::multimap<SteadyTime, CurlExchange*>;
  struct Active {
    ExchangePtr exchange;
    Checks::iterator check;  // checks_.end() = none
    bool running = false;    // holds a place of its host
  };
  /// Exchanges beyond the limit of connections wait here: libcurl's own queue (7.88) at times
  /// leaves a waiting transfer asleep when a connection becomes free.
  struct Host {
    size_t running = 0;
    std::deque<ExchangePtr> waiting;
  };
  enum class Do { start, cancel, read_done, write_done };
  struct Command {
    Do what;
    ExchangePtr exchange;
  };
  struct Inbox {
    std::vector<Command> commands;
    bool closed = false;
  };

  /// False when the thread has ended.
  bool push(Command command);
  void run();
  bool take_commands();
  void execute(const Command& command);
  void admit(const ExchangePtr& exchange);
  Result<void> start(const ExchangePtr& exchange);
  void leave_host(const ExchangePtr& exchange);
  void reap();
  void watch(Active& active);
  void expire();
  int wait_ms() const;
  CurlEasy new_handle();
  void detach(CurlExchange& exchange);
  void finish(ExchangePtr exchange, Result<HttpClientResponse> result);

  const CurlHttpClientOptions options_;
  Executor& executor_;
  const std::shared_ptr<ReceivePool> pool_;
  std::atomic<size_t> exchanges_ = 0;
  Guarded<Inbox> inbox_;
  CurlMulti multi_;

  // Transfer thread only.
  std::unordered_map<CurlExchange*, Active> active_;
  Checks checks_;
  std::unordered_map<std::string, Host> hosts_;
  std::vector<CurlEasy> idle_;
  std::vector<Command> taken_;

  std::thread thread_;
};

CurlHttpClient::Transfer::Transfer(CurlHttpClientOptions options, Executor& executor)
    : options_(std::move(options)),
      executor_(executor),
      pool_(std::make_shared<ReceivePool>(options_.idle_body_memory)) {
  initialise_curl_once();
  multi_.reset(curl_multi_init());
  ASTER_CHECK(multi_ != nullptr);
  curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS,
                    static_cast<long>(options_.max_idle_connections));
}

void CurlHttpClient::Transfer::end() {
  inbox_.lock()->closed = true;
  curl_multi_wakeup(multi_.get());
  thread_.join();
}

bool CurlHttpClient::Transfer::push(Command command) {
  {
    auto inbox = inbox_.lock();
    if (inbox->closed) return false;
    inbox->commands.push_back(std::move(command));
  }
  curl_multi_wakeup(multi_.get());
  return true;
}

void CurlHttpClient::Transfer::submit(HttpClientRequest request, const CancelToken& cancel,
                                      uint64_t& registration,
                                      Completion<Result<HttpClientResponse>>& done) {
  const std::weak_ptr<Transfer> weak = weak_from_this();
  auto exchange = std::make_shared<CurlExchange>(
      std::move(request), executor_, pool_,
      [weak](std::shared_ptr<CurlExchange> which, CurlExchange::Event event) {
        const auto transfer = weak.lock();
        const Do what = event == CurlExchange::Event::read_done ? Do::read_done : Do::write_done;
        if (transfer) transfer->push({what, std::move(which)});
      });
  done = exchange->done();
  if (++exchanges_ > options_.max_exchanges) {
    --exchanges_;
    return exchange->finish(fail(Errc::out_of_resources, "too many HTTP exchanges"));
  }
  if (!push({Do::start, exchange})) {
    --exchanges_;
    return exchange->finish(fail(Errc::interrupted, "the HTTP client has ended"));
  }
  const std::weak_ptr<CurlExchange> which = exchange;
  registration = cancel.on_cancel([weak, which] {
    const auto transfer = weak.lock();
    auto cancelled = which.lock();
    if (transfer && cancelled) transfer->push({Do::cancel, std::move(cancelled)});
  });
}

void CurlHttpClient::Transfer::run() {
  pthread_setname_np(pthread_self(), "aster-transfer");
  while (take_commands()) {
    int running = 0;
    curl_multi_perform(multi_.get(), &running);
    reap();
    expire();
    curl_multi_poll(multi_.get(), nullptr, 0, wait_ms(), nullptr);
  }
  // Nothing is queued any more: `closed` and the last commands were seen under one lock.
  while (!active_.empty()) {
    finish(active_.begin()->second.exchange, fail(Errc::interrupted, "the HTTP client is ending"));
  }
  idle_.clear();
}

bool CurlHttpClient::Transfer::take_commands() {
  bool closed = false;
  {
    auto inbox = inbox_.lock();
    std::swap(taken_, inbox->commands);
    closed = inbox->closed;
  }
  for (const Command& command : taken_) execute(command);
  taken_.clear();
  return !closed;
}

void CurlHttpClient::Transfer::execute(const Command& command) {
  if (command.what == Do::start) return admit(command.exchange);
  if (!active_.contains(command.exchange.get())) return;  // it has ended meanwhile
  if (command.what == Do::cancel) {
    return finish(command.exchange, fail(Errc::interrupted, "cancelled"));
  }
  const auto event = command.what == Do::read_done ? CurlExchange::Event::read_done
                                                   : CurlExchange::Event::write_done;
  if (command.exchange->handle(event)) finish(command.exchange, command.exchange->outcome());
}

CurlEasy CurlHttpClient::Transfer::new_handle() {
  if (idle_.empty()) return CurlEasy(curl_easy_init());
  CurlEasy easy = std::move(idle_.back());
  idle_.pop_back();
  return easy;
}

void CurlHttpClient::Transfer::admit(const ExchangePtr& exchange) {
  watch(active_.emplace(exchange.get(), Active{exchange, checks_.end()}).first->second);
  const Result<void> sendable = exchange->check_request();
  if (!sendable) return finish(exchange, sendable.error());
  Host& host = hosts_[exchange->host()];
  if (host.running >= options_.max_connections_per_host) {
    host.waiting.push_back(exchange);
    return;
  }
  const Result<void> started = start(exchange);
  if (!started) finish(exchange, started.error());
}

Result<void> CurlHttpClient::Transfer::start(const ExchangePtr& exchange) {
  ++hosts_[exchange->host()].running;
  active_.at(exchange.get()).running = true;
  CurlEasy easy = new_handle();
  if (!easy) return fail(Errc::out_of_resources, "HTTP transfer");
  ASTER_TRY(exchange->start(std::move(easy), options_));
  if (curl_multi_add_handle(multi_.get(), exchange->easy()) != CURLM_OK) {
    return fail(Errc::out_of_resources, "HTTP transfer");
  }
  return ok();
}

void CurlHttpClient::Transfer::leave_host(const ExchangePtr& exchange) {
  const auto found = hosts_.find(exchange->host());
  if (found == hosts_.end()) return;
  Host& host = found->second;
  if (std::exchange(active_.at(exchange.get()).running, false)) {
    --host.running;
  } else {
    std::erase(host.waiting, exchange);
  }
  if (host.running == 0 && host.waiting.empty()) {
    hosts_.erase(found);
    return;
  }
  if (host.waiting.empty() || host.running >= options_.max_connections_per_host) return;
  const ExchangePtr next = std::move(host.waiting.front());
  host.waiting.pop_front();
  const Result<void> started = start(next);
  if (!started) finish(next, started.error());
}

void CurlHttpClient::Transfer::reap() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    char* owner = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &owner);
    const ExchangePtr exchange = active_.at(reinterpret_cast<CurlExchange*>(owner)).exchange;
    const bool final = exchange->transfer_done(message->data.result);
    detach(*exchange);  // `message` is gone from here on
    leave_host(exchange);
    if (final) finish(exchange, exchange->outcome());
  }
}

void CurlHttpClient::Transfer::watch(Active& active) {
  const auto when = active.exchange->next_check();
  active.check = when ? checks_.emplace(*when, active.exchange.get()) : checks_.end();
}

void CurlHttpClient::Transfer::expire() {
  const SteadyTime now = std::chrono::steady_clock::now();
  while (!checks_.empty() && checks_.begin()->first <= now) {
    Active& due = active_.at(checks_.begin()->second);
    checks_.erase(checks_.begin());
    due.check = checks_.end();
    const Result<void> in_time = due.exchange->check_time(now);
    if (in_time) {
      watch(due);
    } else {
      finish(due.exchange, in_time.error());
    }
  }
}

int CurlHttpClient::Transfer::wait_ms() const {
  constexpr int kLongest = 60'000;  // libcurl's own timers end the wait earlier
  if (checks_.empty()) return kLongest;
  const auto left = checks_.begin()->first - std::chrono::steady_clock::now();
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  return static_cast<int>(std::clamp<int64_t>(ms, 0, kLongest));
}

void CurlHttpClient::Transfer::detach(CurlExchange& exchange) {
  if (!exchange.easy()) return;
  curl_multi_remove_handle(multi_.get(), exchange.easy());
  CurlEasy easy = exchange.take_easy();
  if (idle_.size() >= kIdleHandles) return;
  curl_easy_reset(easy.get());
  idle_.push_back(std::move(easy));
}

void CurlHttpClient::Transfer::finish(ExchangePtr exchange, Result<HttpClientResponse> result) {
  detach(*exchange);
  leave_host(exchange);
  const auto active = active_.find(exchange.get());
  if (active->second.check != checks_.end()) checks_.erase(active->second.check);
  active_.erase(active);
  --exchanges_;
  exchange->finish(std::move(result));
}

CurlHttpClient::CurlHttpClient(CurlHttpClientOptions options, Executor& executor)
    : transfer_(std::make_shared<Transfer>(std::move(options), executor)) {
  transfer_->begin();
}

void write_exchanges(metrics::Exposition& out, const CurlHttpClient& client,
                     const CurlHttpClient* other) {
  const auto sum = [&](auto member) {
    return (client.*member)().value() + (other != nullptr ? (other->*member)().value() : 0);
  };
  out.counter("aster_client_exchanges_total", "Requests sent to other servers", {},
              sum(&CurlHttpClient::exchanges));
  out.counter("aster_client_exchanges_failed_total", "Those that got no answer", {},
              sum(&CurlHttpClient::failed));
}

CurlHttpClient::~CurlHttpClient() {
  transfer_->end();
}

Task<Result<HttpClientResponse>> CurlHttpClient::send(HttpClientRequest request,
                                                      CancelToken cancel) {
  if (find_header(request.headers, "X-Request-ID") == nullptr) {
    const RequestId& current = RequestId::current();
    const RequestId id = current.empty() ? RequestId::make() : current;
    request.headers.emplace_back("X-Request-ID", id.text());
  }
  const LogLine line = log::enabled(log::Level::debug) ? line_of(request) : LogLine();
  uint64_t registration = 0;
  Completion<Result<HttpClientResponse>> done;
  const std::shared_ptr<Counts> counts = counts_;
  transfer_->submit(std::move(request), cancel, registration, done);
  const SteadyTime began = std::chrono::steady_clock::now();
  Result<HttpClientResponse> result = co_await done;
  counts->exchanges.add();
  if (!result.ok()) counts->failed.add();
  log_exchange(line, result, began);
  cancel.forget(registration);
  co_return result;
}

}  // namespace aster
