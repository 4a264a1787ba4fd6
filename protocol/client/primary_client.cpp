#include "protocol/client/primary_client.h"

#include <algorithm>
#include <random>

#include "protocol/base/guarded.h"
#include "protocol/base/log.h"
#include "protocol/client/event_parser.h"
#include "protocol/client/lock_client.h"
#include "protocol/client/reachability.h"
#include "protocol/fs/json.h"

namespace aster {
namespace {

using std::chrono::milliseconds;

/// A machine that is there refuses at once; a second is long for any network.
constexpr milliseconds kProbeDeadline{1000};

/// Full jitter: anything up to 50 ms doubled per attempt, at most 2 s, so that clients of a server
/// that comes back do not all call at the same moment.
milliseconds back_off(unsigned attempt) {
  static thread_local std::minstd_rand random(std::random_device{}());
  const int64_t ceiling = std::min<int64_t>(2000, 50ll << std::min(attempt, 6u));
  return milliseconds(std::uniform_int_distribution<int64_t>(ceiling / 4, ceiling)(random));
}

/// Worth another attempt: nothing is known about the request, or the server could not serve now.
bool transient(const Error& error) {
  return error.code == Errc::unavailable || error.code == Errc::timeout ||
         error.code == Errc::rate_limited;
}

/// Feeds an event stream to its handlers, piece by piece.
class EventSink final : public ByteSink {
 public:
  EventSink(PrimaryClient::EventHandlers& handlers, Guarded<std::string>& cursor)
      : handlers_(handlers), cursor_(cursor) {}

  Task<Result<void>> write(ByteView piece) override {
    bool good = true;
    parser_.feed(as_text(piece), [&](std::string_view name, std::string_view data) {
      good = good && dispatch(name, data);
    });
    if (!good) co_return fail(Errc::bad_request, "malformed event");
    co_return ok();
  }

 private:
  bool dispatch(std::string_view name, std::string_view data) {
    if (name == "reset") {
      handlers_.on_reset();
      return true;
    }
    if (name == "lease") {
      const Result<fs::LeaseNotice> notice = fs::decode_lease_notice(data);
      if (notice && handlers_.on_lease) handlers_.on_lease(notice->lease);
      return notice.ok();
    }
    if (name == "want") {
      const Result<fs::LeaseWanted> wanted = fs::decode_lease_wanted(data);
      if (wanted && handlers_.on_wanted) handlers_.on_wanted(*wanted);
      return wanted.ok();
    }
    const bool recalled = name == "recall";
    if (!recalled && name != "inval") return true;  // a later server may send more kinds
    const Result<fs::Invalidation> event = fs::decode_invalidation(data);
    if (!event) return false;
    handlers_.on_event(*event, recalled);
    *cursor_.lock() = event->cursor;
    return true;
  }

  PrimaryClient::EventHandlers& handlers_;
  Guarded<std::string>& cursor_;
  EventParser parser_;
};

class HttpPrimaryClient final : public PrimaryClient, public LockClient, public Reachability {
 public:
  HttpPrimaryClient(PrimaryClientOptions options, HttpClient& http, HttpClient& control,
                    Executor& executor)
      : options_(std::move(options)),
        http_(http),
        control_(control),
        executor_(executor),
        reopening_(executor) {}

  Task<Result<fs::BatchAnswer>> batch(std::vector<fs::BatchItem> items,
                                      milliseconds deadline) override;
  Task<Result<fs::SessionAnswer>> open_session(fs::SessionRequest request) override;
  Task<Result<void>> close_session() override;
  Task<Result<void>> follow_events(EventHandlers handlers, CancelToken cancel) override;
  Task<Result<fs::AckAnswer>> acknowledge(fs::Ack ack, milliseconds deadline) override;
  Task<Result<fs::LeaseAnswer>> lease(fs::LeaseRequest request, milliseconds deadline) override;
  Task<Result<fs::LockAnswer>> lock(fs::LockRequest request, milliseconds deadline) override;
  Task<bool> refuses_connections() override;

  std::string absolute(const std::string& url) const override {
    return url.starts_with('/') ? options_.server_url + url : url;
  }

 private:
  HttpClientRequest request(std::string method, std::string path) const {
    HttpClientRequest request;
    request.method = std::move(method);
    request.url = options_.server_url + std::move(path);
    request.headers.emplace_back("Authorization", "Bearer " + options_.token);
    request.headers.emplace_back("User-Agent", "mount.aster/" ASTER_VERSION);
    return request;
  }
  /// One exchange; a status other than 2xx becomes the error that its body names.
  static Task<Result<Bytes>> exchange(HttpClient& http, HttpClientRequest request);
  Task<Result<Bytes>> exchange(HttpClientRequest request) {
    return exchange(http_, std::move(request));
  }
  Task<Result<fs::BatchAnswer>> try_batch(const fs::BatchRequest& request, milliseconds timeout);
  /// Opens a new session in place of `lost`, unless another caller did already.
  Task<Result<void>> reopen(SessionId lost);
  /// One connection of the event stream; returns when it ends.
  Task<Result<void>> stream_events(EventHandlers& handlers, CancelToken cancel);
  Task<bool> pause(milliseconds delay, CancelToken cancel);

  SessionId session() const { return session_.lock()->session; }

  const PrimaryClientOptions options_;
  HttpClient& http_;
  HttpClient& control_;
  Executor& executor_;
  Guarded<fs::SessionAnswer> session_;
  Guarded<fs::SessionRequest> session_request_;
  Guarded<std::string> cursor_;
  AsyncMutex reopening_;
};

Task<Result<Bytes>> HttpPrimaryClient::exchange(HttpClient& http, HttpClientRequest request) {
  ASTER_CO_TRY(HttpClientResponse response, co_await http.send(std::move(request)));
  if (response.status / 100 != 2) {
    co_return fs::decode_error(response.status, as_text(response.body.view()));
  }
  co_return std::move(response.body);
}

Task<Result<fs::BatchAnswer>> HttpPrimaryClient::try_batch(const fs::BatchRequest& batch,
                                                           milliseconds timeout) {
  HttpClientRequest call = request("POST", "/api/v1/fs/batch");
  call.headers.emplace_back("Content-Type", "application/json");
  call.body.push_back(Bytes::from_string(fs::encode(batch)));
  call.max_body = fs::kBatchBytesMax;
  call.total_timeout = timeout;
  call.connect_timeout = std::min<milliseconds>(call.connect_timeout, timeout);
  ASTER_CO_TRY(const Bytes body, co_await exchange(std::move(call)));
  auto answer = fs::decode_batch_answer(as_text(body.view()), batch.items.size());
  co_return answer;
}

Task<Result<fs::BatchAnswer>> HttpPrimaryClient::batch(std::vector<fs::BatchItem> items,
                                                       milliseconds deadline) {
  const SteadyTime end = std::chrono::steady_clock::now() + deadline;
  fs::BatchRequest request{session(), false, std::move(items)};
  for (fs::BatchItem& item : request.items) {
    if (fs::is_mutation(item.operation) && !item.id) item.id = OperationId::random();
  }
  for (unsigned attempt = 0;; ++attempt) {
    const auto left =
        std::chrono::duration_cast<milliseconds>(end - std::chrono::steady_clock::now());
    if (left.count() <= 0) co_return fail(Errc::timeout, "the primary did not answer in time");
    Result<fs::BatchAnswer> answer = co_await try_batch(request, left);
    if (answer.ok()) co_return answer;
    if (answer.failed_with(Errc::stale_handle)) {
      // The primary no longer knows this session; operation ids keep the repetition exactly-once.
      ASTER_CO_TRY(co_await reopen(request.session));
      request.session = session();
      continue;
    }
    const milliseconds delay = back_off(attempt);
    if (!transient(answer.error()) || std::chrono::steady_clock::now() + delay >= end) {
      co_return answer;
    }
    ASTER_LOG(debug, "retrying", {"op", "batch"}, {"attempt", attempt + 1},
              {"err", answer.error()});
    co_await executor_.sleep(delay);
  }
}

Task<Result<fs::SessionAnswer>> HttpPrimaryClient::open_session(
    fs::SessionRequest session_request) {
  HttpClientRequest call = request("POST", "/api/v1/fs/session");
  call.headers.emplace_back("Content-Type", "application/json");
  call.body.push_back(Bytes::from_string(fs::encode(session_request)));
  *session_request_.lock() = std::move(session_request);
  ASTER_CO_TRY(const Bytes body, co_await exchange(std::move(call)));
  ASTER_CO_TRY(fs::SessionAnswer answer, fs::decode_session_answer(as_text(body.view())));
  *session_.lock() = answer;
  *cursor_.lock() = answer.cursor;
  co_return answer;
}

Task<Result<void>> HttpPrimaryClient::reopen(SessionId lost) {
  const auto lock = co_await reopening_.acquire();
  if (session() != lost) co_return ok();
  fs::SessionRequest again = *session_request_.lock();
  const std::string cursor = *cursor_.lock();
  const Result<fs::SessionAnswer> answer = co_await open_session(std::move(again));
  if (!answer.ok()) co_return answer.error();
  // What happened between the two sessions is told by the stream of the new one.
  if (!cursor.empty()) *cursor_.lock() = cursor;
  ASTER_LOG(info, "session_reopened", {"session", answer->session.value});
  co_return ok();
}

Task<Result<void>> HttpPrimaryClient::close_session() {
  HttpClientRequest call =
      request("DELETE", "/api/v1/fs/session/" + std::to_string(session().value));
  call.total_timeout = milliseconds(5000);
  const Result<Bytes> body = co_await exchange(std::move(call));
  if (!body.ok()) co_return body.error();
  co_return ok();
}

Task<Result<void>> HttpPrimaryClient::stream_events(EventHandlers& handlers, CancelToken cancel) {
  const uint32_t heartbeat = session_.lock()->heartbeat_ms;
  const SessionId current = session();
  const std::string cursor = *cursor_.lock();
  HttpClientRequest call = request(
      "GET", "/api/v1/fs/events?session=" + std::to_string(current.value) + "&cursor=" + cursor);
  call.headers.emplace_back("Accept", "text/event-stream");
  call.total_timeout = milliseconds(0);
  // Three heartbeats without a byte: the connection is dead even if TCP has not noticed.
  call.stall_timeout = std::chrono::seconds(std::max<uint32_t>(2, 3 * heartbeat / 1000));
  call.sink = std::make_shared<EventSink>(handlers, cursor_);
  call.on_headers = [&handlers](int status, const HeaderList&) {
    if (status == 200) handlers.on_state(true);
  };
  Result<HttpClientResponse> response = co_await control_.send(std::move(call), cancel);
  handlers.on_state(false);
  if (!response.ok()) co_return std::move(response).error();
  if (response->status == 200) co_return ok();
  const Error error = fs::decode_error(response->status, as_text(response->body.view()));
  if (error.code != Errc::stale_handle) co_return error;
  ASTER_CO_TRY(co_await reopen(current));
  handlers.on_reset();  // the primary has let go of what this session held
  co_return ok();
}

Task<Result<fs::AckAnswer>> HttpPrimaryClient::acknowledge(fs::Ack ack, milliseconds deadline) {
  ack.session = session();
  HttpClientRequest call = request("POST", "/api/v1/fs/ack");
  call.headers.emplace_back("Content-Type", "application/json");
  call.body.push_back(Bytes::from_string(fs::encode(ack)));
  call.total_timeout = deadline;
  call.connect_timeout = std::min<milliseconds>(call.connect_timeout, deadline);
  ASTER_CO_TRY(const Bytes body, co_await exchange(control_, std::move(call)));
  auto answer = fs::decode_ack_answer(as_text(body.view()));
  co_return answer;
}

// Who gives something back must not wait behind those who want something from others.
Task<Result<fs::LeaseAnswer>> HttpPrimaryClient::lease(fs::LeaseRequest lease,
                                                       milliseconds deadline) {
  lease.session = session();
  HttpClientRequest call = request("POST", "/api/v1/fs/lease");
  call.headers.emplace_back("Content-Type", "application/json");
  call.body.push_back(Bytes::from_string(fs::encode(lease)));
  call.total_timeout = deadline;
  call.max_body = fs::kBatchBytesMax;
  call.connect_timeout = std::min<milliseconds>(call.connect_timeout, deadline);
  HttpClient& http = lease.take ? http_ : control_;
  ASTER_CO_TRY(const Bytes body, co_await exchange(http, std::move(call)));
  auto answer = fs::decode_lease_answer(as_text(body.view()));
  co_return answer;
}

/// False when cancelled meanwhile.
Task<bool> HttpPrimaryClient::pause(milliseconds delay, CancelToken cancel) {
  Completion<bool> done;
  executor_.post_after(delay, [done] { done.set(true); });
  cancel.on_cancel([done, this] { executor_.post([done] { done.set(false); }); });
  const bool went_on = co_await done;
  co_return went_on && !cancel.cancelled();
}

Task<Result<void>> HttpPrimaryClient::follow_events(EventHandlers handlers, CancelToken cancel) {
  unsigned failures = 0;
  while (!cancel.cancelled()) {
    const Result<void> ended = co_await stream_events(handlers, cancel);
    if (cancel.cancelled()) break;
    failures = ended.ok() ? 0 : failures + 1;
    if (failures == 1) ASTER_LOG(warn, "event_stream_lost", {"err", ended.error()});
    const bool go_on = co_await pause(back_off(failures), cancel);
    if (!go_on) break;
  }
  co_return fail(Errc::interrupted, "event stream cancelled");
}

}  // namespace

Task<Result<fs::LockAnswer>> HttpPrimaryClient::lock(fs::LockRequest lock, milliseconds deadline) {
  const SessionId known = session();
  lock.session = known;
  HttpClientRequest call = request("POST", "/api/v1/fs/lock");
  call.headers.emplace_back("Content-Type", "application/json");
  call.body.push_back(Bytes::from_string(fs::encode(lock)));
  call.total_timeout = deadline;
  call.connect_timeout = std::min<milliseconds>(call.connect_timeout, deadline);
  const Result<Bytes> body = co_await exchange(std::move(call));
  if (body.failed_with(Errc::stale_handle)) {
    ASTER_CO_TRY(co_await reopen(known));
  }
  if (!body.ok()) co_return body.error();
  auto answer = fs::decode_lock_answer(as_text(body->view()));
  co_return answer;
}

Task<bool> HttpPrimaryClient::refuses_connections() {
  co_await executor_.hop();
  co_return aster::refuses_connections(options_.server_url, kProbeDeadline);
}

LockClient* lock_client_of(PrimaryClient& client) {
  return dynamic_cast<LockClient*>(&client);
}

Task<Result<fs::AckAnswer>> PrimaryClient::acknowledge(fs::Ack, milliseconds) {
  co_return fail(Errc::unsupported, "no leases");
}

Task<Result<fs::LeaseAnswer>> PrimaryClient::lease(fs::LeaseRequest, milliseconds) {
  co_return fail(Errc::unsupported, "no leases");
}

std::unique_ptr<PrimaryClient> make_primary_client(PrimaryClientOptions options, HttpClient& http,
                                                   Executor& executor, HttpClient* control) {
  return std::make_unique<HttpPrimaryClient>(std::move(options), http,
                                             control != nullptr ? *control : http, executor);
}

}  // namespace aster
