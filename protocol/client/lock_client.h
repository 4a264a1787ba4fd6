#pragma once

#include <chrono>

#include "protocol/base/task.h"
#include "protocol/fs/lock_messages.h"

namespace aster {

/// File locks at the primary. Thread-safe. Apart from PrimaryClient, because whoever moves data has
/// no use for it.
class LockClient {
 public:
  virtual ~LockClient() = default;
  /// One attempt; `request.session` is filled in.
  virtual Task<Result<fs::LockAnswer>> lock(fs::LockRequest request,
                                            std::chrono::milliseconds deadline) = 0;
};

class PrimaryClient;
/// The locks of the session of `client`; null when it has none.
LockClient* lock_client_of(PrimaryClient& client);

}  // namespace aster
