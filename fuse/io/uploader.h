#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "fuse/io/grant_pool.h"
#include "fuse/io/io_context.h"
#include "fuse/io/upload_object.h"
#include "protocol/base/ids.h"

namespace aster {

/// Brings sealed objects of one file to its follower. Thread-safe.
class Uploader {
 public:
  Uploader(std::shared_ptr<IoContext> context, InodeNo ino)
      : context_(std::move(context)), grants_(context_, ino) {}

  /// For packs: grants that files share; GrantHint::ino names one of them.
  struct SharedGrants {};
  Uploader(std::shared_ptr<IoContext> context, SharedGrants)
      : context_(std::move(context)), grants_(context_, InodeNo(), true) {}

  GrantPool& grants() { return grants_; }

  using Outcome = Result<std::shared_ptr<const fs::ObjectAccess>>;
  /// Checksums, grant, PUT, and the blocks into the cache. A PUT that failed is tried again as
  /// another object, until the timeout since `asked` is over. The wait for other uploads counts, so
  /// that who waits behind many that stall waits no longer than each of them; but as long as
  /// objects of the mount arrive, what is queued is only waiting for its turn, and has the timeout
  /// since the last of them. timeout when that is over before its turn. no_space, quota_exceeded
  /// and too_large come through as such, other refusals of the follower as io_error.
  /// `object->body` is dropped at the end. Ends on another thread than it began.
  Task<Outcome> upload(UploadObjectPtr object, GrantHint hint, SteadyTime asked);

 private:
  SteadyTime deadline_since(SteadyTime asked) const;
  Task<Result<void>> put(std::vector<Bytes> pieces, fs::UploadGrant grant, uint32_t crc,
                         SteadyTime deadline);

  const std::shared_ptr<IoContext> context_;
  GrantPool grants_;
};

}  // namespace aster
