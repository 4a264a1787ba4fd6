#pragma once

#include <cstdint>
#include <string>
#include <vector>

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

enum class LockHolder { none, mount, guest };

/// Something locked below a directory.
struct LockedBelow {
  InodeNo ino;
  std::vector<std::string> path;  ///< from the directory; one of them, of a file with more names
  LockHolder holder = LockHolder::none;
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
  /// Who has a lock of any kind on an inode that lies in the directories `above`. A mount is told
  /// before a guest.
  virtual LockHolder holder(InodeNo ino, const std::vector<InodeNo>& above) const = 0;
  /// All that is locked itself below a directory, in no order.
  virtual Task<Result<std::vector<LockedBelow>>> held_below(InodeNo directory) = 0;
};

/// Null for a service without locks.
GuestLocks* guest_locks_of(NamespaceService& service);

}  // namespace aster::primary
