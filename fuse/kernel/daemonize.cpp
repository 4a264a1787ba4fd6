#include "fuse/kernel/daemonize.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace aster {
namespace {

/// On the pipe: one byte exit status, then a line for standard error, then the end.
void write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

std::string read_all(int fd) {
  std::string all;
  char buffer[1024];
  for (;;) {
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return all;
    all.append(buffer, static_cast<size_t>(n));
  }
}

[[noreturn]] void wait_as_parent(UniqueFd report, pid_t child) {
  const std::string said = read_all(report.get());
  if (said.empty()) {
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    std::fprintf(stderr, "mount.aster: the mount process ended before it was ready\n");
    ::_exit(WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : 1);
  }
  write_all(STDERR_FILENO, std::string_view(said).substr(1));
  ::_exit(static_cast<unsigned char>(said[0]));
}

void detach_from_terminal() {
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return;
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null.get(), fd);
}

}  // namespace

Result<Daemon> Daemon::start(bool foreground) {
  if (foreground) return Daemon(UniqueFd());
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe");
  UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) return fail_errno("fork");
  if (child > 0) {
    writing.reset();
    wait_as_parent(std::move(reading), child);
  }
  ::setsid();
  if (::chdir("/") != 0) return fail_errno("chdir /");
  return Daemon(std::move(writing));
}

void Daemon::ready() {
  if (!report_) return;
  detach_from_terminal();
  write_all(report_.get(), std::string_view("\0", 1));
  report_.reset();
}

int Daemon::failed(int status, const std::string& line) {
  const std::string text = "mount.aster: " + line + "\n";
  if (!report_) {
    std::fputs(text.c_str(), stderr);
    return status;
  }
  write_all(report_.get(), std::string(1, static_cast<char>(status)) + text);
  report_.reset();
  return status;
}

}  // namespace aster
