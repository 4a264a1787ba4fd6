#include <fcntl.h>
#include <sys/socket.h>

#include <condition_variable>
#include <mutex>
#include <thread>
#include <unordered_set>

#include "protocol/base/log.h"
#include "protocol/base/unique_handle.h"
#include "server/http/connection.h"
#include "server/http/http_session.h"

namespace aster::http {
namespace {

/// Knows every live session, so that a stop can reach and await them.
class SessionGroup {
 public:
  void add(std::shared_ptr<Session> session) {
    std::lock_guard lock(mutex_);
    sessions_.insert(std::move(session));
  }
  void remove(const std::shared_ptr<Session>& session) {
    std::lock_guard lock(mutex_);
    sessions_.erase(session);
    if (sessions_.empty()) empty_.notify_all();
  }
  size_t size() const {
    std::lock_guard lock(mutex_);
    return sessions_.size();
  }
  void drain_all() {
    std::lock_guard lock(mutex_);
    for (const auto& session : sessions_) session->begin_drain();
  }
  void kill_all() {
    std::lock_guard lock(mutex_);
    for (const auto& session : sessions_) session->kill();
  }
  bool await_empty(std::chrono::milliseconds limit) {
    std::unique_lock lock(mutex_);
    return empty_.wait_for(lock, limit, [this] { return sessions_.empty(); });
  }
  void await_empty() {
    std::unique_lock lock(mutex_);
    empty_.wait(lock, [this] { return sessions_.empty(); });
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable empty_;
  std::unordered_set<std::shared_ptr<Session>> sessions_;
};

constexpr std::string_view kBusy =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\n"
    "Connection: close\r\n\r\n";
constexpr std::chrono::milliseconds kAcceptPause{100};

class AsioServer final : public Server {
 public:
  AsioServer(const ServerOptions& options, const Router& router)
      : options_(options),
        context_{.io = io_,
                 .router = router,
                 .limits = options.limits,
                 .tls = options.tls,
                 .plain = {options.plain_http, options.https_origin, 443},
                 .trusted_proxies = options.trusted_proxies,
                 .observer = options.observer} {}
  ~AsioServer() override { stop(std::chrono::milliseconds(0)); }

  Result<void> listen();
  uint16_t port() const override { return port_; }
  size_t open_connections() const override {
    return sessions_.size() + (plain_ ? plain_->open_connections() : 0);
  }
  void stop(std::chrono::milliseconds grace) override;

 private:
  void accept_next();
  void on_accept(error_code error, Socket socket);
  void start_session(Socket socket);
  void stop_accepting();
  Result<void> listen_plain();
  error_code open_acceptor(const tcp& protocol, error_code& error);

  const ServerOptions options_;
  /// Shared with connections: whoever hops to one may still be inside post() when the server ends.
  const std::shared_ptr<asio::io_context> io_ = std::make_shared<asio::io_context>();
  ServerContext context_;
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_->get_executor()};
  Strand accept_strand_{io_->get_executor()};
  asio::basic_socket_acceptor<tcp, Strand> acceptor_{accept_strand_};
  asio::steady_timer pause_{accept_strand_};
  bool accepting_ = true;  ///< on the accept strand
  uint16_t port_ = 0;
  SessionGroup sessions_;
  std::mutex stop_mutex_;
  std::vector<std::jthread> threads_;
  std::unique_ptr<AsioServer> plain_;  ///< on options_.plain_port
};

Result<void> AsioServer::listen() {
  error_code error;
  const std::string where = options_.host + ":" + std::to_string(options_.port);
  const auto failed = [&](const char* step) {
    return fail(Errc::unavailable, "cannot listen on " + where + ": " + step + error.message());
  };
  tcp::resolver resolver(*io_);
  const auto found =
      resolver.resolve(options_.host, std::to_string(options_.port), tcp::resolver::passive, error);
  if (error || found.empty()) return failed("resolve: ");
  const tcp::endpoint endpoint = *found.begin();
  if (open_acceptor(endpoint.protocol(), error)) return failed("");
  if (acceptor_.set_option(asio::socket_base::reuse_address(true), error)) return failed("");
  if (acceptor_.bind(endpoint, error)) return failed("");
  if (acceptor_.listen(asio::socket_base::max_listen_connections, error)) return failed("");
  port_ = acceptor_.local_endpoint(error).port();
  if (error) return failed("");
  if (options_.tls) context_.plain.https_port = port_;
  ASTER_TRY(listen_plain());
  asio::post(accept_strand_, [this] { accept_next(); });
  for (size_t i = 0; i < std::max<size_t>(1, options_.threads); ++i) {
    threads_.emplace_back([this, i] {
      pthread_setname_np(pthread_self(), ("http/" + std::to_string(i)).c_str());
      io_->run();
    });
  }
  return ok();
}

Result<void> AsioServer::listen_plain() {
  if (options_.plain_port == 0) return ok();
  ServerOptions plain = options_;
  plain.tls = nullptr;
  plain.port = std::exchange(plain.plain_port, uint16_t{0});
  plain.threads = 1;
  plain_ = std::make_unique<AsioServer>(plain, context_.router);
  plain_->context_.plain.https_port = port_;
  return plain_->listen();
}

// Asio opens sockets that a child process inherits, which would keep the port.
error_code AsioServer::open_acceptor(const tcp& protocol, error_code& error) {
  UniqueFd fd(::socket(protocol.family(), protocol.type() | SOCK_CLOEXEC, protocol.protocol()));
  if (!fd) return error = error_code(errno, asio::error::get_system_category());
  if (!acceptor_.assign(protocol, fd.get(), error)) (void)fd.release();
  return error;
}

void AsioServer::accept_next() {
  if (!accepting_) return;
  acceptor_.async_accept(asio::make_strand(*io_), [this](error_code error, Socket socket) {
    on_accept(error, std::move(socket));
  });
}

void AsioServer::on_accept(error_code error, Socket socket) {
  if (!accepting_) return;
  if (!error) {
    // A child process of this server has no business in its connections.
    (void)::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
    start_session(std::move(socket));
    accept_next();
    return;
  }
  if (error != asio::error::connection_aborted) {
    ASTER_LOG(warn, "accept failed", {"err", error.message()});
  }
  // Out of descriptors, mostly: a tight loop would not free any.
  pause_.expires_after(kAcceptPause);
  pause_.async_wait([this](error_code) { accept_next(); });
}

void AsioServer::start_session(Socket socket) {
  if (sessions_.size() >= options_.limits.max_connections) {
    error_code ignored;
    socket.non_blocking(true, ignored);
    socket.write_some(asio::buffer(kBusy), ignored);
    return;
  }
  const auto session = std::make_shared<Session>(std::move(socket), context_);
  sessions_.add(session);
  start(session->run(), [this, session] { sessions_.remove(session); });
}

void AsioServer::stop_accepting() {
  std::mutex mutex;
  std::condition_variable closed_signal;
  bool closed = false;
  asio::post(accept_strand_, [&] {
    accepting_ = false;
    error_code ignored;
    acceptor_.close(ignored);
    pause_.cancel();
    std::lock_guard lock(mutex);
    closed = true;
    closed_signal.notify_all();
  });
  std::unique_lock lock(mutex);
  closed_signal.wait(lock, [&] { return closed; });
}

void AsioServer::stop(std::chrono::milliseconds grace) {
  if (plain_) plain_->stop(grace);
  std::lock_guard stopping(stop_mutex_);
  if (threads_.empty()) return;
  stop_accepting();
  context_.draining = true;
  sessions_.drain_all();
  if (!sessions_.await_empty(grace)) {
    ASTER_LOG(info, "closing connections", {"open", sessions_.size()});
    sessions_.kill_all();
    sessions_.await_empty();
  }
  work_.reset();
  threads_.clear();
}

}  // namespace

Result<std::unique_ptr<Server>> start_server(const ServerOptions& options, const Router& router) {
  auto server = std::make_unique<AsioServer>(options, router);
  ASTER_TRY(server->listen());
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace aster::http
