#include <poll.h>
#include <sys/signalfd.h>

#include <csignal>
#include <cstdio>
#include <iostream>
#include <string>

#include "fuse/kernel/daemonize.h"
#include "fuse/kernel/session.h"
#include "protocol/base/log.h"
#include "tests/support/fake_file_io.h"
#include "tests/support/fake_primary.h"

// Mounts a drive whose primary lives in this process: `fake_drive DIRECTORY`. Says "ready" on the
// ready pipe, obeys one-word commands on standard input, ends when unmounted or signalled, with
// status 1 if data could not be flushed.

namespace aster::testing {
namespace {

/// Other numbers than the kernel's 1, and small, so that an inode 1 would clash if ids did.
constexpr InodeNo kRoot{7};

class Drive {
 public:
  explicit Drive(const std::string& directory) : place_{directory, "fake", true, false, {}} {}

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
    say_ready();
    for (;;) {
      pollfd fds[] = {
          {caught.get(), POLLIN, 0}, {(*session)->ended_fd(), POLLIN, 0}, {0, POLLIN, 0}};
      if (::poll(fds, 3, -1) < 0) continue;
      if (fds[0].revents != 0 || fds[1].revents != 0) break;
      std::string command;
      if (fds[2].revents != 0 && (!std::getline(std::cin, command) || !obey(command))) break;
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

  bool obey(const std::string& command) {
    if (command == "stall")
      primary_.stall();
    else if (command == "resume")
      primary_.resume();
    else if (command == "stall_reads")
      io_.stall_reads();
    else if (command == "resume_reads")
      io_.resume_reads();
    else if (command == "fail_flush")
      io_.fail_flush(Errc::unavailable);
    else if (command == "away")
      set_away(true);
    else if (command == "back")
      set_away(false);
    else if (command.starts_with("put "))
      put(command.substr(4));
    else if (command.starts_with("remove "))
      remove(command.substr(7));
    else
      return false;
    // The one who gave the command waits for this line.
    std::printf("done\n");
    std::fflush(stdout);
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
  SystemClock clock_;
  Executor executor_{{"core", 2, 4096}};
  FakePrimary primary_{kRoot};
  FakeFileIo io_{primary_};
  Notifier notifier_;
  Filesystem filesystem_{{primary_, io_, notifier_, executor_, clock_}, {.root = kRoot}};
  Dispatch dispatch_{filesystem_, executor_};
};

}  // namespace
}  // namespace aster::testing

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  if (std::getenv("ASTER_DEBUG") != nullptr) aster::log::set_level(aster::log::Level::debug);
  return aster::testing::Drive(argv[1]).run();
}
