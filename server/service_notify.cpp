#include "server/service_notify.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>

#include "protocol/base/unique_handle.h"

namespace aster {
namespace {

void tell_systemd(std::string_view text) {
  const char* const path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  if (!path || std::strlen(path) >= sizeof address.sun_path) return;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path, std::strlen(path));
  if (path[0] == '@') address.sun_path[0] = 0;
  const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
  (void)::sendto(fd.get(), text.data(), text.size(), MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr*>(&address), size);
}

/// Half of what systemd allows, as sd_watchdog_enabled(3) advises.
std::optional<std::chrono::milliseconds> beat_interval() {
  const char* const pid = std::getenv("WATCHDOG_PID");
  if (pid != nullptr && std::atol(pid) != ::getpid()) return std::nullopt;
  const char* const text = std::getenv("WATCHDOG_USEC");
  const long long allowed_us = text == nullptr ? 0 : std::atoll(text);
  if (allowed_us <= 0) return std::nullopt;
  return std::chrono::milliseconds(std::max<long long>(1, allowed_us / 2000));
}

UniqueFd connect_to(const std::string& host, uint16_t port, std::chrono::milliseconds patience) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return {};
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, ::freeaddrinfo);
  UniqueFd fd(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval limit{patience.count() / 1000, patience.count() % 1000 * 1000};
  for (const int option : {SO_SNDTIMEO, SO_RCVTIMEO}) {
    ::setsockopt(fd.get(), SOL_SOCKET, option, &limit, sizeof limit);
  }
  if (::connect(fd.get(), found->ai_addr, found->ai_addrlen) != 0) return {};
  return fd;
}

}  // namespace

Watchdog::Watchdog(std::string host, uint16_t port)
    : host_(host == "0.0.0.0" ? "127.0.0.1"
            : host == "::"    ? "::1"
                              : std::move(host)),
      port_(port),
      interval_(beat_interval()) {}

bool Watchdog::answers() const {
  const UniqueFd fd = connect_to(host_, port_, *interval_);
  constexpr std::string_view kQuestion =
      "GET /health HTTP/1.1\r\nHost: watchdog\r\nConnection: close\r\n\r\n";
  if (!fd || ::send(fd.get(), kQuestion.data(), kQuestion.size(), MSG_NOSIGNAL) < 0) return false;
  char start[5];
  return ::recv(fd.get(), start, sizeof start, MSG_WAITALL) == sizeof start &&
         std::string_view(start, sizeof start) == "HTTP/";
}

void Watchdog::beat() const {
  if (interval_ && answers()) tell_systemd("WATCHDOG=1");
}

void notify_ready(uint16_t port) {
  tell_systemd("READY=1");
  const char* const number = std::getenv("ASTER_READY_FD");
  if (!number) return;
  const UniqueFd fd(std::atoi(number));
  const std::string line = std::to_string(port) + "\n";
  if (::write(fd.get(), line.data(), line.size()) < 0) return;
}

void notify_reloading() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const int64_t us = now.tv_sec * 1'000'000LL + now.tv_nsec / 1000;
  tell_systemd("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(us));
}

void notify_reloaded() {
  tell_systemd("READY=1");
}

void notify_stopping() {
  tell_systemd("STOPPING=1");
}

}  // namespace aster
