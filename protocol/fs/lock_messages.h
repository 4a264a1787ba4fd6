#pragma once

#include <cstdint>
#include <optional>

#include "protocol/base/ids.h"

/// File locks across mounts; see aster-api(7), "Locks".
namespace aster::fs {

/// POST /api/v1/fs/lock. Repeating it changes nothing.
struct LockRequest {
  SessionId session;
  InodeNo ino;
  uint64_t owner = 0;  ///< of the client's choice: an open file or a process
  bool whole = false;  ///< flock(2), which knows nothing of fcntl(2) locks
  bool unlock = false;
  bool exclusive = false;
  bool test = false;     ///< say only what stands in the way
  bool reclaim = false;  ///< held before the primary restarted
  uint64_t start = 0;
  uint64_t length = 0;  ///< 0: to the end of everything
  uint32_t pid = 0;
};

struct LockAnswer {
  bool granted = false;
  /// Otherwise, of the lock in the way, if there is one (none: the primary has just restarted and
  /// waits for those who held locks).
  bool conflict = false;
  bool exclusive = false;
  uint64_t start = 0;
  uint64_t length = 0;
  uint32_t pid = 0;  ///< 0: on another machine
};

}  // namespace aster::fs
