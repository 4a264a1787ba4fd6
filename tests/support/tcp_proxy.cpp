#include "tests/support/tcp_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "protocol/base/check.h"
#include "protocol/base/unique_handle.h"

namespace aster::testing {
namespace {

using Steady = std::chrono::steady_clock;
using Time = Steady::time_point;

// More than a link of 10 Gbit/s and 20 ms holds, and still a bound.
constexpr size_t kMaxInFlight = 64 << 20;
constexpr size_t kReadSize = 256 << 10;

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

UniqueFd make_socket() {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  ASTER_CHECK(fd);
  return fd;
}

void set_option(int fd, int level, int name, int value) {
  ::setsockopt(fd, level, name, &value, sizeof value);
}

/// Closing then sends a reset, so the peer sees a broken link and not an orderly end.
void reset_on_close(int fd) {
  const linger now{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

/// One direction of a connection: bytes wait here until they are due. An empty piece is the end.
struct Flow {
  struct Piece {
    Time due;
    std::string bytes;
  };
  int from = -1;
  int to = -1;
  std::deque<Piece> pieces;
  size_t queued = 0;
  size_t sent = 0;  ///< of the front piece
  bool ended = false;
  bool blocked = false;  ///< `to` takes no more at the moment
  std::atomic<uint64_t>* counter = nullptr;
};

struct Link {
  UniqueFd client;
  UniqueFd target;
  Flow up;
  Flow down;
  Time opened;
  uint32_t client_events = 0;
  uint32_t target_events = 0;
};

}  // namespace

class TcpProxy::Loop {
 public:
  enum class Mode { open, cut, stalled };

  Loop(uint16_t target_port, Delay delay) : target_port_(target_port), delay_(delay) {
    listener_ = make_socket();
    sockaddr_in address = loopback(0);
    socklen_t length = sizeof address;
    auto* raw = reinterpret_cast<sockaddr*>(&address);
    ASTER_CHECK(::bind(listener_.get(), raw, sizeof address) == 0);
    ASTER_CHECK(::listen(listener_.get(), 512) == 0);
    ASTER_CHECK(::getsockname(listener_.get(), raw, &length) == 0);
    port_ = ntohs(address.sin_port);
    epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
    wake_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    ASTER_CHECK(epoll_ && wake_);
    watch(listener_.get(), EPOLLIN, EPOLL_CTL_ADD);
    watch(wake_.get(), EPOLLIN, EPOLL_CTL_ADD);
    thread_ = std::thread([this] { run(); });
  }
  ~Loop() {
    stopping_ = true;
    wake();
    thread_.join();
  }

  void set_mode(Mode mode) {
    mode_ = mode;
    wake();
  }
  void wake() {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(wake_.get(), &one, sizeof one);
  }

  uint16_t port_ = 0;
  std::atomic<uint16_t> target_port_;
  std::atomic<Delay> delay_;
  std::atomic<uint64_t> to_target_{0};
  std::atomic<uint64_t> from_target_{0};
  std::atomic<uint64_t> accepted_{0};

 private:
  void watch(int fd, uint32_t events, int operation) {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    ::epoll_ctl(epoll_.get(), operation, fd, &event);
  }

  void run() {
    while (!stopping_) {
      const std::optional<Time> due = pump_all();
      graveyard_.clear();
      epoll_event events[64];
      timespec timeout{};
      if (due) {
        const auto left =
            std::max(std::chrono::nanoseconds(*due - Steady::now()), std::chrono::nanoseconds(0));
        timeout.tv_sec = left.count() / 1'000'000'000;
        timeout.tv_nsec = left.count() % 1'000'000'000;
      }
      const int n = ::epoll_pwait2(epoll_.get(), events, 64, due ? &timeout : nullptr, nullptr);
      for (int i = 0; i < n; ++i) handle(events[i].data.fd, events[i].events);
      if (mode_ == Mode::cut) drop_all();
      graveyard_.clear();
    }
    drop_all();
  }

  void handle(int fd, uint32_t events) {
    if (fd == wake_.get()) {
      uint64_t count;
      [[maybe_unused]] const ssize_t n = ::read(fd, &count, sizeof count);
    } else if (fd == listener_.get()) {
      accept_all();
    } else if (auto found = links_.find(fd); found != links_.end()) {
      on_socket(*found->second, fd, events);
    }
  }

  void accept_all() {
    for (;;) {
      UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!client) return;
      ++accepted_;
      if (mode_ == Mode::cut) {
        reset_on_close(client.get());
      } else {
        open_link(std::move(client));
      }
    }
  }

  void open_link(UniqueFd client) {
    auto link = std::make_shared<Link>();
    link->client = std::move(client);
    link->target = make_socket();
    set_option(link->client.get(), IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(link->target.get(), IPPROTO_TCP, TCP_NODELAY, 1);
    const sockaddr_in address = loopback(target_port_);
    const int connected =
        ::connect(link->target.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    if (connected != 0 && errno != EINPROGRESS) {
      reset_on_close(link->client.get());
      return;
    }
    link->opened = Steady::now();
    link->up.from = link->down.to = link->client.get();
    link->up.to = link->down.from = link->target.get();
    link->up.counter = &to_target_;
    link->down.counter = &from_target_;
    link->up.blocked = true;  // until the connection to the target stands
    links_[link->client.get()] = link;
    links_[link->target.get()] = link;
  }

  void on_socket(Link& link, int fd, uint32_t events) {
    Flow& out = fd == link.client.get() ? link.down : link.up;
    Flow& in = fd == link.client.get() ? link.up : link.down;
    const bool stalled = mode_ == Mode::stalled;
    if ((events & EPOLLERR) != 0 && !stalled) return drop(link);
    if ((events & EPOLLOUT) != 0) out.blocked = false;
    const bool readable = (events & (EPOLLIN | EPOLLHUP)) != 0;
    if (readable && !stalled && !in.ended && in.queued < kMaxInFlight) receive(link, in);
  }

  void receive(Link& link, Flow& flow) {
    const ssize_t n = ::read(flow.from, buffer_.data(), buffer_.size());
    if (n < 0) {
      if (errno != EAGAIN && errno != EINTR) drop(link);
      return;
    }
    std::string bytes(buffer_.data(), static_cast<size_t>(n));
    const Delay delay = delay_;
    const Time due = std::max(Steady::now(), link.opened + 2 * delay) + delay;
    flow.ended = n == 0;
    flow.queued += bytes.size();
    flow.pieces.push_back({due, std::move(bytes)});
  }

  /// Sends what is due everywhere; the time of the next piece.
  std::optional<Time> pump_all() {
    std::optional<Time> next;
    const auto snapshot = links_;  // a failing link removes itself
    for (const auto& [fd, link] : snapshot) {
      if (fd != link->client.get()) continue;
      if (mode_ != Mode::stalled) {
        pump(*link, link->up, next);
        pump(*link, link->down, next);
      }
      const bool finished = link->up.ended && link->up.pieces.empty() && link->down.ended &&
                            link->down.pieces.empty();
      if (finished) {
        forget(*link);
      } else if (links_.count(fd) != 0) {
        rearm(*link);
      }
    }
    return next;
  }

  void pump(Link& link, Flow& flow, std::optional<Time>& next) {
    while (!flow.pieces.empty() && !flow.blocked && links_.count(flow.from) != 0) {
      Flow::Piece& piece = flow.pieces.front();
      if (piece.due > Steady::now()) {
        next = next ? std::min(*next, piece.due) : piece.due;
        return;
      }
      if (piece.bytes.empty()) {
        ::shutdown(flow.to, SHUT_WR);
        flow.pieces.pop_front();
        continue;
      }
      const size_t left = piece.bytes.size() - flow.sent;
      const ssize_t n = ::send(flow.to, piece.bytes.data() + flow.sent, left, MSG_NOSIGNAL);
      if (n < 0) {
        if (errno != EAGAIN) return drop(link);
        flow.blocked = true;
        return;
      }
      *flow.counter += static_cast<uint64_t>(n);
      flow.queued -= static_cast<size_t>(n);
      flow.sent += static_cast<size_t>(n);
      if (flow.sent == piece.bytes.size()) {
        flow.pieces.pop_front();
        flow.sent = 0;
      }
    }
  }

  /// Level-triggered, so only what can make progress may be watched.
  void rearm(Link& link) {
    const bool stalled = mode_ == Mode::stalled;
    const auto wanted = [&](const Flow& in, const Flow& out) {
      uint32_t events = 0;
      if (!stalled && !in.ended && in.queued < kMaxInFlight) events |= EPOLLIN;
      if (out.blocked && !stalled) events |= EPOLLOUT;
      return events;
    };
    arm(link.client.get(), wanted(link.up, link.down), link.client_events);
    arm(link.target.get(), wanted(link.down, link.up), link.target_events);
  }

  void arm(int fd, uint32_t events, uint32_t& current) {
    if (events == current) return;
    // HUP and ERR are reported even unasked, so a socket that waits for nothing is taken out.
    const int operation = events == 0    ? EPOLL_CTL_DEL
                          : current == 0 ? EPOLL_CTL_ADD
                                         : EPOLL_CTL_MOD;
    watch(fd, events, operation);
    current = events;
  }

  void forget(Link& link) {
    const auto keep = links_.find(link.client.get());
    if (keep == links_.end()) return;
    const std::shared_ptr<Link> last = keep->second;
    links_.erase(link.client.get());
    links_.erase(link.target.get());
    // Closed at the end of the round: events that are still to be handled name its descriptors.
    graveyard_.push_back(last);
  }

  void drop(Link& link) {
    reset_on_close(link.client.get());
    reset_on_close(link.target.get());
    forget(link);
  }
  void drop_all() {
    while (!links_.empty()) drop(*links_.begin()->second);
  }

  UniqueFd listener_;
  UniqueFd epoll_;
  UniqueFd wake_;
  std::atomic<Mode> mode_{Mode::open};
  std::atomic<bool> stopping_{false};
  std::map<int, std::shared_ptr<Link>> links_;  ///< both sockets of a link lead to it
  std::vector<std::shared_ptr<Link>> graveyard_;
  std::vector<char> buffer_ = std::vector<char>(kReadSize);
  std::thread thread_;
};

TcpProxy::TcpProxy(uint16_t target_port, Delay one_way_delay)
    : loop_(std::make_unique<Loop>(target_port, one_way_delay)) {}
TcpProxy::~TcpProxy() = default;

uint16_t TcpProxy::port() const {
  return loop_->port_;
}
void TcpProxy::set_delay(Delay one_way_delay) {
  loop_->delay_ = one_way_delay;
}
void TcpProxy::cut() {
  loop_->set_mode(Loop::Mode::cut);
}
void TcpProxy::stall() {
  loop_->set_mode(Loop::Mode::stalled);
}
void TcpProxy::restore() {
  loop_->set_mode(Loop::Mode::open);
}
void TcpProxy::set_target(uint16_t target_port) {
  loop_->target_port_ = target_port;
}
uint64_t TcpProxy::bytes_to_target() const {
  return loop_->to_target_;
}
uint64_t TcpProxy::bytes_from_target() const {
  return loop_->from_target_;
}
uint64_t TcpProxy::connections() const {
  return loop_->accepted_;
}

}  // namespace aster::testing
