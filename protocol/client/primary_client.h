#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "protocol/base/executor.h"
#include "protocol/base/task.h"
#include "protocol/client/http_client.h"
#include "protocol/fs/lease_messages.h"
#include "protocol/fs/messages.h"

namespace aster {

/// The primary as a mounted client sees it. Thread-safe. Calls are retried after a lost connection
/// or a 5xx until `deadline`: reads are idempotent, mutations carry operation ids (exactly once).
class PrimaryClient {
 public:
  virtual ~PrimaryClient() = default;

  /// All operations in one request, results in the same order. The outer error is for the whole
  /// batch (unavailable, timeout, token_invalid ...). Operation ids are added where missing.
  virtual Task<Result<fs::BatchAnswer>> batch(std::vector<fs::BatchItem> items,
                                              std::chrono::milliseconds deadline) = 0;
  virtual Task<Result<fs::SessionAnswer>> open_session(fs::SessionRequest request) = 0;
  /// Ends the session: holds and leases are given up.
  virtual Task<Result<void>> close_session() = 0;

  /// Follows the event stream until `cancel`; reconnects by itself. `on_event` gets every
  /// invalidation in order; `on_reset` says that events may have been missed (trust nothing
  /// cached); `on_state` says whether the stream is alive. All are called one at a time, on an
  /// executor thread.
  struct EventHandlers {
    /// `recalled`: somebody waits until it is acknowledged.
    std::function<void(const fs::Invalidation&, bool recalled)> on_event;
    std::function<void()> on_reset;
    std::function<void(bool alive)> on_state;
    /// May be empty. See fs::LeaseNotice.
    std::function<void(uint64_t lease)> on_lease;
    /// May be empty. See fs::LeaseWanted.
    std::function<void(const fs::LeaseWanted&)> on_wanted;
  };
  virtual Task<Result<void>> follow_events(EventHandlers handlers, CancelToken cancel) = 0;

  /// One attempt; `ack.session` is filled in.
  virtual Task<Result<fs::AckAnswer>> acknowledge(fs::Ack ack, std::chrono::milliseconds deadline);

  /// One attempt to take or give back write leases; `request.session` is filled in.
  virtual Task<Result<fs::LeaseAnswer>> lease(fs::LeaseRequest request,
                                              std::chrono::milliseconds deadline);

  /// An absolute URL for ObjectAccess::url or UploadGrant::url.
  virtual std::string absolute(const std::string& url) const = 0;

  /// While the answer lives, mutations wait; then they leave together. For callers who are about to
  /// let several others go on at the same moment. Only a hint.
  virtual std::shared_ptr<void> gather() { return nullptr; }

  /// Waits until the primary knows everything that was answered before; for clients that answer
  /// ahead of it.
  virtual Task<Result<void>> settle(std::chrono::milliseconds /*deadline*/) { co_return ok(); }

  /// One operation, its answer's type picked out: `co_await
  /// client.call<fs::Attr>(fs::GetAttr{ino})`.
  template <class A>
  Task<Result<A>> call(fs::Operation operation,
                       std::chrono::milliseconds deadline = std::chrono::seconds(30)) {
    std::vector<fs::BatchItem> items;
    items.push_back({std::move(operation), std::nullopt});
    ASTER_CO_TRY(fs::BatchAnswer answer, co_await batch(std::move(items), deadline));
    if (answer.results.size() != 1) co_return fail(Errc::internal, "batch answer has another size");
    ASTER_CO_TRY(fs::Answer one, std::move(answer.results[0]));
    A* typed = std::get_if<A>(&one);
    if (typed == nullptr) co_return fail(Errc::internal, "answer is of another type");
    co_return std::move(*typed);
  }
};

struct PrimaryClientOptions {
  std::string server_url;  ///< e.g. "http://drive.example.com:3000", no trailing slash
  std::string token;       ///< bearer token; never logged
};
/// Everything handed in must outlive the client. Events and acknowledgements go by `control` when
/// it is given: calls that wait for acknowledgements of others must not keep ours from leaving.
std::unique_ptr<PrimaryClient> make_primary_client(PrimaryClientOptions options, HttpClient& http,
                                                   Executor& executor,
                                                   HttpClient* control = nullptr);

}  // namespace aster
