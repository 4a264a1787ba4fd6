#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <list>
#include <string>
#include <thread>

#include "protocol/base/check.h"
#include "protocol/base/guarded.h"
#include "protocol/base/unique_handle.h"

namespace aster::testing {

/// One accepted connection of a SocketServer; blocking, on its own thread.
class Peer {
 public:
  explicit Peer(int fd) : fd_(fd) {}

  /// The next request's head with its final blank line; empty when the client closed.
  std::string read_head() {
    size_t end = 0;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (!receive()) return {};
    }
    std::string head = buffer_.substr(0, end + 4);
    buffer_.erase(0, end + 4);
    return head;
  }
  /// Exactly `size` bytes, fewer when the client closed.
  std::string read_body(size_t size) {
    while (buffer_.size() < size && receive()) {
    }
    std::string body = buffer_.substr(0, size);
    buffer_.erase(0, body.size());
    return body;
  }
  /// False when the client is gone.
  bool write(std::string_view text) {
    while (!text.empty()) {
      const ssize_t n = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      text.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  bool answer(std::string_view body, std::string_view status = "200 OK") {
    return write("HTTP/1.1 " + std::string(status) + "\r\nContent-Length: " +
                 std::to_string(body.size()) + "\r\n\r\n" + std::string(body));
  }
  /// Waits until the client closes the connection.
  void wait_for_close() {
    while (receive()) buffer_.clear();
  }

 private:
  bool receive() {
    char piece[65536];
    const ssize_t n = ::recv(fd_, piece, sizeof piece, 0);
    if (n <= 0) return false;
    buffer_.append(piece, static_cast<size_t>(n));
    return true;
  }
  int fd_;
  std::string buffer_;
};

/// A server of raw connections on a free loopback port: each runs `handler` on its own thread and
/// is closed when it returns. The destructor cuts all and joins.
class SocketServer {
 public:
  using Handler = std::function<void(Peer&)>;

  explicit SocketServer(Handler handler)
      : handler_(std::move(handler)), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* any = reinterpret_cast<sockaddr*>(&address);
    ASTER_CHECK(::bind(listener_.get(), any, size) == 0 && ::listen(listener_.get(), 64) == 0);
    ASTER_CHECK(::getsockname(listener_.get(), any, &size) == 0);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~SocketServer() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    acceptor_.join();
    auto threads = [this] {
      auto open = open_.lock();
      for (const UniqueFd& fd : open->fds) ::shutdown(fd.get(), SHUT_RDWR);
      return std::move(open->threads);
    }();
    for (std::thread& thread : threads) thread.join();
  }

  std::string url(std::string_view target = "/") const {
    return "http://127.0.0.1:" + std::to_string(port_) + std::string(target);
  }
  int connections() const { return connections_; }
  /// Waits until the server has closed every connection it accepted.
  void wait_until_all_closed() {
    auto open = open_.lock();
    closed_.wait(open.native(), [&] { return open->fds.empty(); });
  }

 private:
  struct Open {
    std::list<UniqueFd> fds;
    std::list<std::thread> threads;
  };
  void accept_all() {
    for (;;) {
      const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      ++connections_;
      auto open = open_.lock();
      const auto slot = open->fds.emplace(open->fds.end(), fd);
      open->threads.emplace_back([this, fd, slot] {
        Peer peer(fd);
        handler_(peer);
        auto again = open_.lock();
        ::shutdown(fd, SHUT_RDWR);
        again->fds.erase(slot);
        closed_.notify_all();
      });
    }
  }

  const Handler handler_;
  UniqueFd listener_;
  uint16_t port_ = 0;
  std::atomic<int> connections_ = 0;
  Guarded<Open> open_;
  std::condition_variable closed_;
  std::thread acceptor_;
};

}  // namespace aster::testing
