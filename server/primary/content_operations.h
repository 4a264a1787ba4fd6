#pragma once

#include "server/primary/extent_map.h"
#include "server/primary/mutation.h"

/// The operations that change what files contain. Private to the namespace service. Errors are
/// those of fs/messages.h.
namespace aster::primary {

class ObjectBackends;

/// When files whose content changed are looked at for composition.
struct ComposeDelays {
  std::chrono::nanoseconds sealed;  ///< after a sealed commit
  std::chrono::nanoseconds idle;    ///< after the last other commit
};

Result<fs::Answer> apply(Mutation& m, const fs::Commit& op, ObjectBackends& backends,
                         const ComposeDelays& delays);
Result<fs::Answer> apply(Mutation& m, const fs::CopyRange& op, ObjectBackends& backends);

/// too_large when the policy of this file's data takes none of this size.
Result<void> check_file_size(Mutation& m, const db::InodeRow& row, uint64_t size,
                             ObjectBackends& backends);
/// Ends a change of extents: reference counts, `allocated`, the workspace's use. The row is not
/// saved yet.
void settle_extents(Mutation& m, db::InodeRow& row, ExtentMap& map);

}  // namespace aster::primary
