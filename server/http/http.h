#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/executor.h"
#include "protocol/base/task.h"
#include "protocol/base/unique_handle.h"
#include "protocol/client/http_client.h"
#include "server/http/forwarded.h"

/// What handlers see of HTTP. No Asio or Beast type appears here or in any handler.
namespace aster::http {

/// One request. Lives until its handler's task has ended.
struct Request {
  std::string method;  ///< as on the wire
  std::string target;  ///< raw request target, undecoded: path and, if sent, '?' and query
  HeaderList headers;
  /// Content-Length as received; nullopt when absent or not an unsigned 64-bit number. The raw text
  /// is in `headers`.
  std::optional<uint64_t> content_length;
  std::string peer;         ///< the client's address without port, as trusted proxies tell it
  std::string host;         ///< authority that a trusted proxy was asked for; see authority()
  bool secure = false;      ///< came over TLS, to this server or to a trusted proxy
  size_t route = SIZE_MAX;  ///< index in Router::names(); beyond it for the fallback
  std::string request_id;   ///< for logs and X-Request-ID; taken over from a trusted client
  std::shared_ptr<ByteSource> body;  ///< never null; bytes beyond Content-Length are not delivered
  std::vector<std::string> path_args;  ///< raw (undecoded) pieces matched by the route

  std::string_view raw_path() const;   ///< target before '?'
  std::string_view raw_query() const;  ///< target after the first '?'; empty when none
  const std::string* header(std::string_view name) const { return find_header(headers, name); }
  /// "host[:port]" that the client asked for; empty when it named none.
  std::string_view authority() const;
};

/// Query parameters, form-decoded, in order. bad_request for a malformed escape.
Result<std::vector<std::pair<std::string, std::string>>> parse_query(std::string_view raw_query);
/// First value of a key in a parsed query.
std::optional<std::string> query_value(
    const std::vector<std::pair<std::string, std::string>>& query, std::string_view key);

/// Bytes [offset, offset+length) of an open regular file; read in pieces, so memory stays flat.
struct FileBody {
  UniqueFd fd;
  uint64_t offset = 0;
  uint64_t length = 0;
};
/// Pulled until it returns 0. With `length` the answer has a Content-Length, else it is chunked
/// (event streams: each non-empty read is flushed at once).
struct StreamBody {
  std::shared_ptr<ByteSource> source;
  std::optional<uint64_t> length;
};

struct Response {
  int status = 200;
  HeaderList headers;  ///< Content-Length, Date, Connection and the common headers are added later
  std::variant<std::string, FileBody, StreamBody> body;
  /// For HEAD answers: Content-Length to announce without sending a body.
  std::optional<uint64_t> head_length;
  bool close_connection = false;

  static Response text(int status, std::string body, std::string_view content_type = "text/plain");
  static Response json(int status, std::string body) {
    return text(status, std::move(body), "application/json");
  }
};

/// Answers one request. Runs first on the connection's I/O thread; blocking work must go through an
/// Executor. An exception or a lost task becomes a 500.
using Handler = std::function<Task<Response>(Request&)>;

/// Path to handler. Routes are registered before the server starts and never change.
/// Pattern segments: literal, `{}` = one non-empty segment, a final `{...}` = the rest of the path
/// (may contain '/', may be empty). Literal beats `{}` beats `{...}`; HEAD falls back to GET only
/// where `add` was called for it.
class Router {
 public:
  void add(std::string_view method, std::string_view pattern, Handler handler);
  /// Answers whatever matches no route, also a known path with another method.
  void set_fallback(Handler handler) { fallback_ = std::move(handler); }
  /// Never null. Fills request.path_args and request.route.
  const Handler& match(Request& request) const;

  struct Name {
    std::string method;
    std::string pattern;
  };
  /// Of every route, in the order that Request::route counts.
  std::vector<Name> names() const;

 private:
  struct Route {
    std::string method;
    std::vector<std::string> segments;
    bool rest = false;
    Handler handler;
  };
  std::vector<Route> routes_;
  Handler fallback_;
};

/// Limits on everything that a stranger can grow.
struct ServerLimits {
  size_t max_connections = 2048;
  size_t max_head_bytes = 64 * 1024;
  std::chrono::milliseconds head_timeout{5000};
  std::chrono::milliseconds idle_timeout{30000};   ///< keep-alive between requests
  std::chrono::milliseconds stall_timeout{30000};  ///< waited for 32 KiB of a body to move
};

/// Told of every answered request, on the thread of its connection. Must not wait for anything.
class RequestObserver {
 public:
  virtual ~RequestObserver() = default;
  struct Answered {
    const Request& request;
    int status = 0;
    Duration took{0};
    uint64_t received = 0;  ///< bytes of the body
    uint64_t sent = 0;      ///< bytes of head and body
  };
  virtual void on_answered(const Answered& answered) noexcept = 0;
};

class TlsIdentity;

/// What becomes of a request that did not come over TLS (plain_rule.h).
enum class PlainHttp { allow, redirect, refuse };

struct ServerOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 0;  ///< 0 = any free one; see Server::port()
  size_t threads = 2;
  ServerLimits limits;
  /// Who this server is over TLS; null: plain HTTP. With it, the port speaks both, as the first
  /// byte of a connection tells, and plain_http says what plain requests get.
  std::shared_ptr<TlsIdentity> tls = nullptr;
  PlainHttp plain_http = PlainHttp::allow;
  uint16_t plain_port = 0;        ///< listened on as well, for plain requests; 0 = none
  std::string https_origin = {};  ///< where plain requests are sent; empty: this very server
  NetworkList trusted_proxies = {};
  RequestObserver* observer = nullptr;  ///< outlives the server
};

/// Listens, serves, drains. stop() refuses new connections, lets requests in flight finish until
/// `grace` has passed, then closes the rest; event streams end at once. The destructor stops with
/// no grace. Thread-safe.
class Server {
 public:
  virtual ~Server() = default;
  virtual uint16_t port() const = 0;
  virtual size_t open_connections() const = 0;
  virtual void stop(std::chrono::milliseconds grace) = 0;
};

/// Starts listening; unavailable when the address is taken (the text names it). `router` must
/// outlive the server.
Result<std::unique_ptr<Server>> start_server(const ServerOptions& options, const Router& router);

}  // namespace aster::http
