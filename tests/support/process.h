#pragma once

#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/base/unique_handle.h"

namespace aster::testing {

/// A child process. It is killed and reaped at the latest by the destructor, and by the kernel when
/// the thread that spawned it ends. Used by one thread at a time. No wait here sleeps: each is
/// woken by the event itself, by the child's death or by its deadline.
class Process {
 public:
  using Millis = std::chrono::milliseconds;

  struct Options {
    /// A program without a slash is looked up in PATH.
    std::vector<std::string> argv;
    /// Added to the environment of this process, replacing variables of the same name.
    std::vector<std::pair<std::string, std::string>> env;
    /// Receives standard output and error (appended); /dev/null when empty.
    std::filesystem::path output;
    std::filesystem::path working_dir;
    /// Hands the child the write end of a pipe, its number in $ASTER_READY_FD, for wait_ready().
    bool ready_pipe = false;
  };
  /// A program that cannot be executed is an error here, not a child that exits with 127.
  static Result<Process> spawn(Options options);

  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  ~Process();

  pid_t pid() const noexcept { return pid_; }
  bool running();
  void signal(int number);
  /// SIGKILL, reaped on return.
  void kill();
  /// Exit status, 128 + signal for a killed child; nullopt when it still runs at the deadline.
  std::optional<int> wait(Millis timeout = Millis(30'000));

  /// What the child wrote to its ready pipe up to the first newline. unavailable when it closed the
  /// pipe or died before, timeout at the deadline.
  Result<std::string> wait_ready(Millis timeout = Millis(30'000));
  /// Content of a file (of ports, of logs) once `accept` says yes to it. The file's directory must
  /// exist. unavailable when the child died first, timeout at the deadline.
  Result<std::string> wait_for_file(const std::filesystem::path& path,
                                    const std::function<bool(const std::string&)>& accept,
                                    Millis timeout = Millis(30'000));
  /// wait_for_file on `output` until it contains `text`.
  Result<std::string> wait_for_output(const std::string& text, Millis timeout = Millis(30'000));

 private:
  Process() = default;
  void reap(int options);

  pid_t pid_ = -1;
  std::optional<int> status_;
  UniqueFd pidfd_;
  UniqueFd ready_;
  std::filesystem::path output_;
};

}  // namespace aster::testing
