#pragma once

#include <cstdint>
#include <string>

#include "protocol/base/ids.h"
#include "protocol/base/task.h"

namespace aster::primary {

class NamespaceService;

/// A lock on a whole inode by somebody who is no mount, such as a WebDAV client.
struct GuestLock {
  std::string token;  ///< unique
  InodeNo ino;
  bool exclusive = true;
  int64_t expires_at = 0;  ///< unix seconds
  bool deep = false;       ///< of a directory with everything below it
};

/// Where such locks and the flock(2) and fcntl(2) locks of mounts meet: to mounts a guest's lock is
/// one of the whole file, of both kinds. Thread-safe.
class GuestLocks {
 public:
  virtual ~GuestLocks() = default;
  /// False when a lock of a mount is in the way, or may be: after a restart mounts have some time
  /// to claim theirs again.
  virtual bool take(const GuestLock& lock) = 0;
  /// The same for a deep one, which is in nobody's way below the directory either.
  virtual Task<Result<bool>> take_deep(GuestLock lock) = 0;
  /// Without a look at mounts: one that is held already, with a new end or after a restart.
  virtual void put(const GuestLock& lock) = 0;
  virtual void drop(InodeNo ino, const std::string& token) = 0;
  virtual bool held_by_mounts(InodeNo ino) const = 0;
};

/// Null for a service without locks.
GuestLocks* guest_locks_of(NamespaceService& service);

}  // namespace aster::primary
