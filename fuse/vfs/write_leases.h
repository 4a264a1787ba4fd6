#pragma once

#include <chrono>

#include "fuse/vfs/lease_state.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"
#include "protocol/base/task.h"

namespace aster {

/// What may stay here for a while before the primary learns of it. Thread-safe.
class WriteLeases {
 public:
  virtual ~WriteLeases() = default;
  /// Whether written data of the file may wait in the journal without anybody else seeing an older
  /// state: asks for a lease when that pays. Call it after the data is in the journal, so that
  /// whoever recalls the lease meanwhile finds it.
  virtual Task<bool> cover(InodeNo ino) = 0;
  /// The same without asking anybody.
  virtual bool covers(InodeNo ino) const = 0;
  /// The servers could not be reached: for a while everything may stay here.
  virtual void unreachable() = 0;
  /// Names and attributes of it were changed here and are not at the primary yet.
  virtual bool unsent(InodeNo ino) const = 0;
  /// They are on their way at once: somebody is about to wait for them.
  virtual void hurry() = 0;
  /// Until the primary has what was changed of it before. unavailable after `deadline`: it is sent
  /// later.
  virtual Task<Result<void>> sent(InodeNo ino, std::chrono::milliseconds deadline) = 0;
  virtual LeaseState lease_state() const = 0;
};

}  // namespace aster
