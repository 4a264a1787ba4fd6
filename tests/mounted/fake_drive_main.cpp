#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <csignal>
#include <cstdio>
#include <functional>
#include <map>
#include <string>

#include "fuse/kernel/daemonize.h"
#include "fuse/kernel/session.h"
#include "protocol/base/log.h"
#include "tests/support/fake_file_io.h"
#include "tests/support/fake_primary.h"

// Mounts a drive whose primary lives in this process: `fake_drive DIRECTORY SOCKET`. Says "ready"
// on the ready pipe, obeys commands that come as packets on the socket, each answered with "done",
// ends when unmounted or signalled, with status 1 if data could not be flushed.

namespace aster::testing {
namespace {

/// Other numbers than the kernel's 1, and small, so that an inode 1 would clash if ids did.
constexpr InodeNo kRoot{7};

class Drive {
 public:
  Drive(const std::string& directory, const std::string& socket)
      : place_{directory, "fake", true, false, {}}, socket_(socket) {}

  int run() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    const UniqueFd caught(::signalfd(-1, &signals, SFD_CLOEXEC));
    auto session = Session::mount(place_, dispatch_, notifier_);
    if (!session.ok()) {
      std::fprintf(stderr, "%s\n", session.error().message().c_str());
      return 2;
    }
    const UniqueFd commands = listen_on(socket_);
    say_ready();
    UniqueFd peer;
    for (;;) {
      pollfd fds[] = {{caught.get(), POLLIN, 0},
                      {(*session)->ended_fd(), POLLIN, 0},
                      {peer ? peer.get() : commands.get(), POLLIN, 0}};
      if (::poll(fds, 3, -1) < 0) continue;
      if (fds[0].revents != 0 || fds[1].revents != 0) break;
      if (!peer) {
        peer.reset(::accept4(commands.get(), nullptr, nullptr, SOCK_CLOEXEC));
      } else if (!obey_from(peer)) {
        peer.reset();
      }
    }
    (*session)->detach();
    const size_t failed = run_blocking(filesystem_.flush_all());
    filesystem_.stop();
    primary_.resume();
    io_.resume_reads();
    (*session)->stop();
    return failed == 0 ? 0 : 1;
  }

 private:
  static void say_ready() {
    const char* number = std::getenv("ASTER_READY_FD");
    if (number == nullptr) return;
    const UniqueFd fd(std::atoi(number));
    (void)!::write(fd.get(), "ready\n", 6);
  }

  static UniqueFd listen_on(const std::string& path) {
    UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    ::listen(fd.get(), 1);
    return fd;
  }

  bool obey_from(const UniqueFd& peer) {
    char packet[256];
    const ssize_t length = ::recv(peer.get(), packet, sizeof packet, 0);
    if (length <= 0) return false;
    const bool known = obey(std::string(packet, static_cast<size_t>(length)));
    const std::string answer = known ? "done" : "what?";
    return ::send(peer.get(), answer.data(), answer.size(), MSG_NOSIGNAL) > 0;
  }

  bool obey(const std::string& command) {
    const std::map<std::string, std::function<void()>> words = {
        {"stall", [this] { primary_.stall(); }},
        {"resume", [this] { primary_.resume(); }},
        {"stall_reads", [this] { io_.stall_reads(); }},
        {"resume_reads", [this] { io_.resume_reads(); }},
        {"fail_flush", [this] { io_.fail_flush(Errc::unavailable); }},
        {"away", [this] { set_away(true); }},
        {"back", [this] { set_away(false); }},
    };
    if (command.starts_with("put ")) {
      put(command.substr(4));
    } else if (command.starts_with("remove ")) {
      remove(command.substr(7));
    } else if (const auto word = words.find(command); word != words.end()) {
      word->second();
    } else {
      return false;
    }
    return true;
  }
  void set_away(bool away) {
    primary_.set_away(away);
    filesystem_.on_state(!away);
  }
  InodeNo find(const std::string& name) {
    return std::get<fs::Attr>(primary_.as_other(fs::Lookup{kRoot, name}).value()).ino;
  }
  /// Another client writes "changed by another" into a file of the root.
  void put(const std::string& name) {
    const InodeNo ino = find(name);
    primary_.put_content(ino, "changed by another");
    fs::Invalidation event;
    event.inodes.push_back({ino, true, false});
    filesystem_.on_event(event);
  }
  void remove(const std::string& name) {
    const InodeNo ino = find(name);
    fs::Invalidation event;
    event.inodes.push_back({ino, false, true});
    event.inodes.push_back({kRoot, false, false});
    event.entries.push_back({kRoot, name});
    // Held before the last name goes: a real primary keeps it for a grace period.
    (void)primary_.as_other(fs::Hold{ino});
    (void)primary_.as_other(fs::Unlink{kRoot, name, true});
    filesystem_.on_event(event);
  }

  const MountPlace place_;
  const std::string socket_;
  SystemClock clock_;
  Executor executor_{{"core", 2, 4096}};
  FakePrimary primary_{kRoot};
  FakeFileIo io_{primary_};
  Notifier notifier_;
  Filesystem filesystem_{{primary_, io_, notifier_, executor_, clock_, &primary_}, {.root = kRoot}};
  Dispatch dispatch_{filesystem_, executor_};
};

}  // namespace
}  // namespace aster::testing

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  if (std::getenv("ASTER_DEBUG") != nullptr) aster::log::set_level(aster::log::Level::debug);
  return aster::testing::Drive(argv[1], argv[2]).run();
}
