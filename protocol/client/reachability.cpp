#include "protocol/client/reachability.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>

#include "protocol/base/unique_handle.h"

namespace aster {
namespace {

struct Address {
  std::string host;
  std::string port;
};

std::optional<Address> address_of(const std::string& url) {
  const size_t scheme = url.find("://");
  if (scheme == std::string::npos) return std::nullopt;
  const bool tls = url.compare(0, scheme, "https") == 0;
  std::string authority = url.substr(scheme + 3);
  authority.resize(std::min(authority.size(), authority.find('/')));
  authority.erase(0, authority.find('@') + 1);
  // An address in brackets has colons of its own.
  const size_t bracket = authority.find(']');
  const size_t colon = authority.find(':', bracket == std::string::npos ? 0 : bracket);
  Address address{authority.substr(0, colon), tls ? "443" : "80"};
  if (colon != std::string::npos) address.port = authority.substr(colon + 1);
  if (bracket != std::string::npos) address.host = authority.substr(1, bracket - 1);
  return address;
}

/// The error of the attempt, 0 = connected.
int connect_error(const addrinfo& to, std::chrono::milliseconds deadline) {
  const UniqueFd fd(
      ::socket(to.ai_family, to.ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, to.ai_protocol));
  if (!fd) return errno;
  if (::connect(fd.get(), to.ai_addr, to.ai_addrlen) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  pollfd waiting{fd.get(), POLLOUT, 0};
  if (::poll(&waiting, 1, static_cast<int>(deadline.count())) != 1) return ETIMEDOUT;
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
  return error;
}

}  // namespace

bool refuses_connections(const std::string& url, std::chrono::milliseconds deadline) {
  const std::optional<Address> address = address_of(url);
  if (!address) return false;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(address->host.c_str(), address->port.c_str(), &hints, &found) != 0) {
    return false;
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> list(found, ::freeaddrinfo);
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    if (connect_error(*one, deadline) != ECONNREFUSED) return false;
  }
  return true;
}

}  // namespace aster
