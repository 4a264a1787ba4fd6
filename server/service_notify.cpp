#include "server/service_notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

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

}  // namespace

void notify_ready(uint16_t port) {
  tell_systemd("READY=1");
  const char* const number = std::getenv("ASTER_READY_FD");
  if (!number) return;
  const UniqueFd fd(std::atoi(number));
  const std::string line = std::to_string(port) + "\n";
  if (::write(fd.get(), line.data(), line.size()) < 0) return;
}

void notify_stopping() {
  tell_systemd("STOPPING=1");
}

}  // namespace aster
