#include "tests/support/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "tests/support/temp_dir.h"

namespace aster::testing {
namespace {

using Steady = std::chrono::steady_clock;

constexpr int kReadyFd = 3;

int left_ms(Steady::time_point deadline) {
  const auto left = std::chrono::ceil<Process::Millis>(deadline - Steady::now()).count();
  return static_cast<int>(std::max<int64_t>(left, 0));
}

/// All that a child needs between fork and exec, made before the fork: nothing may allocate there.
struct Launch {
  std::vector<std::string> strings;
  std::vector<char*> argv;
  std::vector<char*> envp;
  std::string working_dir;
  UniqueFd output;
  UniqueFd ready;
  UniqueFd failure;  ///< takes errno when exec fails, closed by a successful exec
  pid_t parent = 0;
};

std::string name_of(std::string_view assignment) {
  return std::string(assignment.substr(0, assignment.find('=')));
}

std::vector<std::string> child_environment(const Process::Options& options) {
  std::vector<std::string> set;
  for (const auto& [name, value] : options.env) set.push_back(name + "=" + value);
  if (options.ready_pipe) set.push_back("ASTER_READY_FD=" + std::to_string(kReadyFd));
  const size_t own = set.size();
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const bool replaced = std::any_of(set.begin(), set.begin() + static_cast<long>(own),
                                      [&](auto& s) { return name_of(s) == name_of(*entry); });
    if (!replaced) set.emplace_back(*entry);
  }
  return set;
}

void point_into(std::vector<std::string>& strings, std::vector<char*>& pointers) {
  for (std::string& s : strings) pointers.push_back(s.data());
  pointers.push_back(nullptr);
}

[[noreturn]] void run_child(const Launch& launch) {
  // A test that is killed must not leave servers behind.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != launch.parent) ::_exit(127);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::dup2(launch.output.get(), STDOUT_FILENO);
  ::dup2(launch.output.get(), STDERR_FILENO);
  if (launch.ready) ::dup2(launch.ready.get(), kReadyFd);
  if (launch.working_dir.empty() || ::chdir(launch.working_dir.c_str()) == 0) {
    ::execvpe(launch.argv[0], launch.argv.data(), launch.envp.data());
  }
  const int err = errno;
  [[maybe_unused]] const ssize_t n = ::write(launch.failure.get(), &err, sizeof err);
  ::_exit(127);
}

/// Descriptors that must survive dup2 onto 1, 2 and kReadyFd are moved out of the way.
Result<UniqueFd> moved_up(UniqueFd fd) {
  UniqueFd high(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 10));
  if (!high) return fail_errno("duplicate a descriptor");
  return high;
}

Result<std::pair<UniqueFd, UniqueFd>> make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return fail_errno("create a pipe");
  UniqueFd reader(fds[0]);
  ASTER_TRY(UniqueFd writer, moved_up(UniqueFd(fds[1])));
  return std::pair(std::move(reader), std::move(writer));
}

Result<UniqueFd> open_output(const std::filesystem::path& path) {
  const char* name = path.empty() ? "/dev/null" : path.c_str();
  UniqueFd fd(::open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600));
  if (!fd) return fail_errno(std::string("open ") + name);
  return moved_up(std::move(fd));
}

}  // namespace

Result<Process> Process::spawn(Options options) {
  Launch launch;
  launch.parent = ::getpid();
  launch.working_dir = options.working_dir.string();
  std::vector<std::string> environment = child_environment(options);
  point_into(options.argv, launch.argv);
  point_into(environment, launch.envp);
  ASTER_TRY(launch.output, open_output(options.output));
  ASTER_TRY(auto failure, make_pipe());
  launch.failure = std::move(failure.second);
  Process process;
  process.output_ = options.output;
  if (options.ready_pipe) {
    ASTER_TRY(auto ready, make_pipe());
    process.ready_ = std::move(ready.first);
    launch.ready = std::move(ready.second);
  }
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno("fork");
  if (pid == 0) run_child(launch);
  process.pid_ = pid;
  process.pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  launch.failure.reset();
  int err = 0;
  if (::read(failure.first.get(), &err, sizeof err) == sizeof err) {
    return fail_errno(err, "run " + options.argv[0]);
  }
  if (!process.pidfd_) return fail_errno("pidfd_open");
  return process;
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      status_(other.status_),
      pidfd_(std::move(other.pidfd_)),
      ready_(std::move(other.ready_)),
      output_(std::move(other.output_)) {}

Process& Process::operator=(Process&& other) noexcept {
  if (this == &other) return *this;
  kill();
  pid_ = std::exchange(other.pid_, -1);
  status_ = other.status_;
  pidfd_ = std::move(other.pidfd_);
  ready_ = std::move(other.ready_);
  output_ = std::move(other.output_);
  return *this;
}

Process::~Process() {
  kill();
}

void Process::reap(int options) {
  if (pid_ < 0 || status_) return;
  int raw = 0;
  pid_t got;
  do {
    got = ::waitpid(pid_, &raw, options);
  } while (got < 0 && errno == EINTR);
  if (got == pid_) status_ = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
}

bool Process::running() {
  reap(WNOHANG);
  return pid_ >= 0 && !status_;
}

void Process::signal(int number) {
  if (running()) ::kill(pid_, number);
}

void Process::kill() {
  signal(SIGKILL);
  reap(0);
}

std::optional<int> Process::wait(Millis timeout) {
  const auto deadline = Steady::now() + timeout;
  while (running()) {
    pollfd died{pidfd_.get(), POLLIN, 0};
    if (::poll(&died, 1, left_ms(deadline)) == 0) {
      reap(WNOHANG);
      break;
    }
  }
  return status_;
}

Result<std::string> Process::wait_ready(Millis timeout) {
  const auto deadline = Steady::now() + timeout;
  std::string said;
  for (;;) {
    pollfd readable{ready_.get(), POLLIN, 0};
    const int n = ::poll(&readable, 1, left_ms(deadline));
    if (n == 0) return fail(Errc::timeout, "wait for the child to be ready");
    if (n < 0) continue;
    char c;
    if (::read(ready_.get(), &c, 1) != 1) {
      return fail(Errc::unavailable, "the child ended before it was ready");
    }
    if (c == '\n') return said;
    said += c;
  }
}

Result<std::string> Process::wait_for_file(const std::filesystem::path& path,
                                           const std::function<bool(const std::string&)>& accept,
                                           Millis timeout) {
  const auto deadline = Steady::now() + timeout;
  const std::string directory = path.has_parent_path() ? path.parent_path().string() : ".";
  UniqueFd changes(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  const int mask = IN_CREATE | IN_MODIFY | IN_MOVED_TO | IN_CLOSE_WRITE;
  if (!changes || ::inotify_add_watch(changes.get(), directory.c_str(), mask) < 0) {
    return fail_errno("watch " + directory);
  }
  for (;;) {
    const bool alive = running();  // before the look: what a dying child wrote last counts
    std::string content = read_file(path);
    if (std::filesystem::exists(path) && accept(content)) return content;
    if (!alive) return fail(Errc::unavailable, "the child ended; waited for " + path.string());
    pollfd events[2] = {{changes.get(), POLLIN, 0}, {pidfd_.get(), POLLIN, 0}};
    if (::poll(events, 2, left_ms(deadline)) == 0) {
      return fail(Errc::timeout, "wait for " + path.string());
    }
    char drain[4096];
    while (::read(changes.get(), drain, sizeof drain) > 0) {
    }
  }
}

Result<std::string> Process::wait_for_output(const std::string& text, Millis timeout) {
  const auto contains = [&](const std::string& content) {
    return content.find(text) != std::string::npos;
  };
  return wait_for_file(output_, contains, timeout);
}

}  // namespace aster::testing
