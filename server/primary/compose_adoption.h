#pragma once

#include "server/db/fs_store.h"

namespace aster::primary {

/// T2 of the composer (see there), inside the caller's transaction. With `parts_kept` false the
/// parts do not exist any more and whatever is referenced of them must move to the target.
/// not_found when the job is gone. Returns false when the target was dropped instead.
Result<bool> adopt_composed(db::FsStore& store, uint64_t job, bool parts_kept, int64_t now);

/// Points extents at the object number `target`: each names it from its `object_offset` on, which
/// the caller has set for it. Neighbours that became one run are joined. Returns how many extents
/// name the target in the end; reference counts are the caller's business.
int64_t retarget(db::FsStore& store, uint64_t target,
                 const std::vector<db::ExtentStore::Reference>& references);

/// Ends the job without a result: the target becomes dead. Nothing happens when the job is gone.
void drop_composed(db::FsStore& store, uint64_t job, int64_t now);

}  // namespace aster::primary
