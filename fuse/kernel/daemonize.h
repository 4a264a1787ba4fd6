#pragma once

#include <string>

#include "protocol/base/result.h"
#include "protocol/base/unique_handle.h"

namespace aster {

/// Start-up in the background. The parent stays until the child has reported and exits with what
/// the child said, so that who called the program learns the real result. Without any thread
/// before: fork() copies only the caller.
class Daemon {
 public:
  /// Returns in the child (or, in the foreground, at once in the caller). The parent never returns.
  static Result<Daemon> start(bool foreground);

  /// The start succeeded: the parent exits with 0. In the background, standard input, output and
  /// error become /dev/null.
  void ready();
  /// The start failed: `line` goes to the caller's standard error, the parent exits with `status`.
  /// Returns `status` for the child to exit with.
  int failed(int status, const std::string& line);

 private:
  explicit Daemon(UniqueFd report) : report_(std::move(report)) {}

  UniqueFd report_;  // none in the foreground
};

}  // namespace aster
