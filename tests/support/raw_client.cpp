#include "tests/support/raw_client.h"

#include <netdb.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cstdlib>

namespace aster::testing {
namespace {

UniqueFd connect_to(const std::string& host, uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return {};
  const CHandle<addrinfo, ::freeaddrinfo> owner(found);
  UniqueFd fd(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  timeval limit{.tv_sec = 20, .tv_usec = 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (::connect(fd.get(), found->ai_addr, found->ai_addrlen) != 0) fd.reset();
  return fd;
}

}  // namespace

std::optional<std::string> RawAnswer::field(std::string_view name) const {
  for (size_t at = head.find("\r\n"); at != std::string::npos; at = head.find("\r\n", at)) {
    at += 2;
    const size_t colon = head.find(':', at);
    if (colon == std::string::npos) break;
    if (colon - at == name.size() && strncasecmp(&head[at], name.data(), name.size()) == 0) {
      const size_t value = head.find_first_not_of(' ', colon + 1);
      const size_t end = std::min(head.find("\r\n", at), head.size());
      return value >= end ? std::string() : head.substr(value, end - value);
    }
  }
  return std::nullopt;
}

RawClient::RawClient(const std::string& host, uint16_t port) : fd_(connect_to(host, port)) {}

bool RawClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

bool RawClient::fill() {
  char piece[65536];
  const ssize_t n = ::recv(fd_.get(), piece, sizeof piece, 0);
  if (n <= 0) return false;
  buffer_.append(piece, static_cast<size_t>(n));
  return true;
}

bool RawClient::fill_to(size_t bytes) {
  while (buffer_.size() < bytes) {
    if (!fill()) return false;
  }
  return true;
}

std::string RawClient::receive_until(std::string_view end) {
  size_t at = buffer_.find(end);
  while (at == std::string::npos) {
    if (!fill()) return {};
    at = buffer_.find(end);
  }
  std::string out = buffer_.substr(0, at + end.size());
  buffer_.erase(0, at + end.size());
  return out;
}

std::optional<std::string> RawClient::chunked_body() {
  std::string body;
  for (;;) {
    const std::string line = receive_until("\r\n");
    if (line.empty()) return std::nullopt;
    const size_t size = std::strtoull(line.c_str(), nullptr, 16);
    if (!fill_to(size + 2)) return std::nullopt;
    body.append(buffer_, 0, size);
    buffer_.erase(0, size + 2);
    if (size == 0) return body;
  }
}

std::optional<RawAnswer> RawClient::receive(bool head_only) {
  RawAnswer answer;
  answer.head = receive_until("\r\n\r\n");
  if (answer.head.size() < 13) return std::nullopt;
  answer.head.resize(answer.head.size() - 4);
  answer.status = std::atoi(answer.head.c_str() + 9);
  if (head_only || answer.status == 204 || answer.status == 304 || answer.status < 200) {
    return answer;
  }
  if (answer.field("Transfer-Encoding")) {
    auto body = chunked_body();
    if (!body) return std::nullopt;
    answer.body = std::move(*body);
    return answer;
  }
  const auto length = answer.field("Content-Length");
  if (!length) {
    while (fill()) {
    }
    answer.body = std::exchange(buffer_, {});
    return answer;
  }
  const size_t size = std::strtoull(length->c_str(), nullptr, 10);
  if (!fill_to(size)) return std::nullopt;
  answer.body = buffer_.substr(0, size);
  buffer_.erase(0, size);
  return answer;
}

bool RawClient::closed_by_peer() {
  char byte = 0;
  const ssize_t n = buffer_.empty() ? ::recv(fd_.get(), &byte, 1, 0) : 1;
  return n == 0 || (n < 0 && errno == ECONNRESET);
}

void RawClient::end_sending() {
  ::shutdown(fd_.get(), SHUT_WR);
}

void RawClient::reset() {
  const linger hard{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  fd_.reset();
}

}  // namespace aster::testing
