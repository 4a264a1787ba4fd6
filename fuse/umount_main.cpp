#include <poll.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <future>
#include <string>

#include "protocol/base/unique_handle.h"

/// umount(8) calls this for drives, as umount.fuse.aster DIR [-flnrv] [-N NAMESPACE] [-t TYPE]: it
/// sends what is unsent, with progress on standard error, unmounts, and waits until the mount's
/// process has ended. Exit status 0: everything is at the servers; 1: unmounted, but it is not, or
/// not known; 32: not unmounted.
namespace aster {
namespace {

constexpr int kNotAll = 1;
constexpr int kFailed = 32;
constexpr std::chrono::seconds kProgressEvery{1};

struct Arguments {
  std::string directory;
  int flags = 0;
  bool at_once = false;  ///< forced or lazy: nothing is waited for
};

bool parse(int argc, char** argv, Arguments& out) {
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "-N" || word == "-t") {
      ++i;
    } else if (word.size() > 1 && word[0] == '-') {
      if (word.find('f') != std::string::npos) out.flags |= MNT_FORCE;
      if (word.find('l') != std::string::npos) out.flags |= MNT_DETACH;
      if (word.find_first_not_of("flnrv", 1) != std::string::npos) return false;
    } else if (out.directory.empty()) {
      out.directory = word;
    } else {
      return false;
    }
  }
  out.at_once = out.flags != 0;
  return !out.directory.empty();
}

std::string told(const std::string& directory, const char* name) {
  char text[256];
  const ssize_t size = ::getxattr(directory.c_str(), name, text, sizeof text);
  return size < 0 ? std::string() : std::string(text, static_cast<size_t>(size));
}

std::string durable(const std::string& directory) {
  return told(directory, "user.aster.durable");
}

/// True when everything is at the servers.
bool send_all(const std::string& directory) {
  if (durable(directory) == "remote") return true;
  std::future<void> sent = std::async(std::launch::async, [&] {
    (void)::setxattr(directory.c_str(), "user.aster.sync", "1", 1, 0);  // durable() says the rest
  });
  while (sent.wait_for(kProgressEvery) == std::future_status::timeout) {
    std::fprintf(stderr, "umount: %s: still sending (%s)\n", directory.c_str(),
                 durable(directory).c_str());
  }
  return durable(directory) == "remote";
}

/// The mount's process; none when it cannot be known.
UniqueFd process_of(const std::string& directory) {
  const int pid = std::atoi(told(directory, "user.aster.pid").c_str());
  return UniqueFd(pid > 0 ? static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)) : -1);
}

void wait_for_end(const UniqueFd& process, const std::string& directory) {
  pollfd wanted{process.get(), POLLIN, 0};
  const int every = static_cast<int>(std::chrono::milliseconds(5 * kProgressEvery).count());
  for (;;) {
    const int ready = ::poll(&wanted, 1, every);
    if (ready > 0 || (ready < 0 && errno != EINTR)) return;
    if (ready == 0) std::fprintf(stderr, "umount: %s: still ending\n", directory.c_str());
  }
}

int run(int argc, char** argv) {
  Arguments arguments;
  if (!parse(argc, argv, arguments)) {
    std::fprintf(stderr, "usage: umount.fuse.aster DIRECTORY [-flnrv]\n");
    return kFailed;
  }
  const std::string& directory = arguments.directory;
  const UniqueFd process = arguments.at_once ? UniqueFd() : process_of(directory);
  const bool all = !arguments.at_once && send_all(directory);
  const std::string left = all || arguments.at_once ? "" : durable(directory);
  if (::umount2(directory.c_str(), arguments.flags) != 0) {
    std::fprintf(stderr, "umount: %s: %s\n", directory.c_str(), std::strerror(errno));
    return kFailed;
  }
  if (arguments.at_once) return 0;
  if (process) wait_for_end(process, directory);
  if (all) return 0;
  std::fprintf(stderr, "umount: %s: unmounted, but not everything is at the servers (%s)\n",
               directory.c_str(), left.c_str());
  return kNotAll;
}

}  // namespace
}  // namespace aster

int main(int argc, char** argv) {
  return aster::run(argc, argv);
}
