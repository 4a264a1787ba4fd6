#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/task.h"

namespace aster {

/// Header fields in order of arrival; names compare case-insensitively.
using HeaderList = std::vector<std::pair<std::string, std::string>>;
/// First value of `name`; nullptr when absent.
const std::string* find_header(const HeaderList& headers, std::string_view name);

/// A body that is pulled piece by piece, with back-pressure. Used by one side at a time.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Fills up to buffer.size() bytes and returns how many; 0 is the end. An error ends the body.
  virtual Task<Result<size_t>> read(std::span<std::byte> buffer) = 0;
  /// Nobody will read again: a read that is waiting should end soon, with any outcome. Called at
  /// most once, from any thread, also while a read is under way.
  virtual void abandon() noexcept {}
};

/// Takes a body piece by piece; the sender waits until the returned task is done (back-pressure).
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual Task<Result<void>> write(ByteView piece) = 0;
};

/// Takes a body where it arrives, on the transfer thread: for what goes to memory that is there
/// already. It must not wait for anything: all exchanges would wait with it.
class ByteReceiver {
 public:
  virtual ~ByteReceiver() = default;
  /// Before the first piece, also when there is none. An error ends the exchange, as below.
  virtual Result<void> begin(int status, const HeaderList& headers) = 0;
  virtual Result<void> receive(ByteView piece) = 0;
};

struct HttpClientRequest {
  std::string method = "GET";
  std::string url;     ///< absolute; sent as it is, never normalised again (signatures cover it)
  HeaderList headers;  ///< without Content-Length and Host
  /// Body in memory, sent one after the other with an exact Content-Length. Empty = no body and no
  /// Content-Length, unless `send_empty_body`.
  std::vector<Bytes> body;
  /// Or a streamed body of exactly `source_length` bytes. Kept alive by the exchange.
  std::shared_ptr<ByteSource> source;
  uint64_t source_length = 0;
  bool send_empty_body = false;  ///< sends Content-Length: 0

  /// Where a 2xx body goes: to `sink` or `receiver` when set, else into HttpClientResponse::body.
  /// Bodies of other statuses always go into `body`.
  std::shared_ptr<ByteSink> sink;
  std::shared_ptr<ByteReceiver> receiver;
  /// Called once with status and headers before the first byte reaches `sink`.
  std::function<void(int status, const HeaderList&)> on_headers;
  uint64_t max_body =
      8 << 20;  ///< larger bodies fail with too_large (not applied to the two above)

  std::chrono::milliseconds connect_timeout{5000};
  std::chrono::milliseconds total_timeout{30000};  ///< zero = none (event streams)
  /// Fails with timeout when fewer than 1 byte/s moves for this long; zero = off.
  std::chrono::seconds stall_timeout{0};
};

struct HttpClientResponse {
  int status = 0;
  HeaderList headers;
  Bytes body;
  uint64_t body_length = 0;  ///< bytes received, also when they went elsewhere
};

/// Lets the owner of exchanges end them early, from any thread. They then fail with `interrupted`.
/// Copies share the same flag.
class CancelToken {
 public:
  CancelToken() : state_(std::make_shared<State>()) {}
  /// Runs the registered actions, on this thread.
  void cancel() const;
  bool cancelled() const;
  /// Used by HttpClient implementations; runs `action` at once when already cancelled. The answer
  /// is for forget().
  uint64_t on_cancel(std::function<void()> action) const;
  /// Drops a registered action; it may still be running on another thread.
  void forget(uint64_t registration) const;

 private:
  struct State {
    std::mutex mutex;
    bool cancelled = false;
    uint64_t last_registration = 0;
    std::map<uint64_t, std::function<void()>> actions;
  };
  std::shared_ptr<State> state_;
};

/// One HTTP exchange: no retries, no redirects, no cookies. Thread-safe. Any HTTP status is a
/// success here; errors are unavailable (cannot connect, connection lost), timeout, interrupted,
/// too_large, or whatever a ByteSource, ByteSink or ByteReceiver returned. The task goes on on the
/// executor handed to the implementation, never on its transfer thread.
class HttpClient {
 public:
  virtual ~HttpClient() = default;
  virtual Task<Result<HttpClientResponse>> send(HttpClientRequest request, CancelToken cancel) = 0;
  Task<Result<HttpClientResponse>> send(HttpClientRequest request) {
    return send(std::move(request), CancelToken());
  }
};

}  // namespace aster
