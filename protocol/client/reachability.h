#pragma once

#include <chrono>
#include <string>

#include "protocol/base/task.h"

namespace aster {

/// Why a server cannot be reached. Thread-safe. Apart from PrimaryClient, because only whoever
/// serves old copies has to know.
class Reachability {
 public:
  virtual ~Reachability() = default;
  /// True when the server's machine answers and says that nobody listens there: the server does not
  /// run. False when that is not certain (no answer, no route, a server that does run).
  virtual Task<bool> refuses_connections() = 0;
};

/// Tries to connect to the host and port of an http or https URL. Blocks for `deadline` at most for
/// each address, and for the time that the look-up of the name takes.
bool refuses_connections(const std::string& url, std::chrono::milliseconds deadline);

}  // namespace aster
