#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <mutex>

#include "protocol/base/executor.h"
#include "protocol/base/progress_line.h"
#include "protocol/base/unique_handle.h"
#include "protocol/client/curl_http_client.h"
#include "tools/aster_command.h"

namespace aster::cli {
namespace {

std::optional<std::string> environment_variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (!value || !*value) return std::nullopt;
  return std::string(value);
}

/// Switches the terminal's echo off as long as it lives.
class SilentTerminal {
 public:
  explicit SilentTerminal(int fd) : fd_(fd) {
    silenced_ = ::tcgetattr(fd_, &before_) == 0;
    if (!silenced_) return;
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(fd_, TCSAFLUSH, &silent);
  }
  ~SilentTerminal() {
    if (silenced_) ::tcsetattr(fd_, TCSAFLUSH, &before_);
  }
  SilentTerminal(const SilentTerminal&) = delete;
  SilentTerminal& operator=(const SilentTerminal&) = delete;

 private:
  const int fd_;
  bool silenced_ = false;
  termios before_{};
};

Result<std::string> ask_secret(const std::string& prompt) {
  const UniqueFd terminal(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
  if (!terminal) {
    return fail(Errc::precondition_failed,
                "there is no terminal to ask at: give a file with the secret instead");
  }
  const SilentTerminal silent(terminal.get());
  std::string line;
  char c = 0;
  if (::write(terminal.get(), prompt.data(), prompt.size()) < 0) return fail_errno("terminal");
  while (::read(terminal.get(), &c, 1) == 1 && c != '\n') line += c;
  (void)!::write(terminal.get(), "\n", 1);
  if (line.empty()) return fail(Errc::bad_request, "nothing was typed");
  return line;
}

/// Made when the command line has said whom to trust.
class LateHttpClient final : public HttpClient {
 public:
  explicit LateHttpClient(Executor& executor) : executor_(executor) {}
  void trust(CurlHttpClientOptions options) { options_ = std::move(options); }

  using HttpClient::send;
  Task<Result<HttpClientResponse>> send(HttpClientRequest request, CancelToken cancel) override {
    std::call_once(made_, [this] { client_.emplace(options_, executor_); });
    return client_->send(std::move(request), std::move(cancel));
  }

 private:
  Executor& executor_;
  CurlHttpClientOptions options_;
  std::once_flag made_;
  std::optional<CurlHttpClient> client_;
};

int main_fenced(int argc, char** argv) {
  Executor executor({.name = "aster", .threads = 1});
  LateHttpClient http(executor);
  World world{http, std::cout, std::cerr, environment_variable, ask_secret, "/proc/self/mounts"};
  world.trust = [&http](CurlHttpClientOptions options) { http.trust(std::move(options)); };
  world.terminal = terminal_behind(std::cerr, STDERR_FILENO);
  return run(world, {argv + 1, argv + argc});
}

}  // namespace
}  // namespace aster::cli

int main(int argc, char** argv) {
  try {
    return aster::cli::main_fenced(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "aster: " << error.what() << '\n';
    return 1;
  }
}
