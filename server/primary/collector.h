#pragma once

#include "protocol/base/clock.h"
#include "protocol/base/metrics.h"
#include "protocol/base/task.h"
#include "server/db/dead_objects.h"
#include "server/db/object_store.h"
#include "server/primary/namespace_service.h"

namespace aster::primary {

class EventHub;

/// Takes away what nothing needs any more: ended sessions, nameless inodes, unreferenced objects,
/// grants that were not used, old journal entries and stored answers. Never deletes an object that
/// a transaction has not proved unreferenced and marked dead first.
///
/// What kill -9 leaves, by arrow:
///   orphan row -> (extents removed, in pieces) -> inode removed: each piece is one transaction;
///     the orphan row stays until the last, so the next round goes on.
///   live, no refs -> dead (one transaction, checks refs = 0) -> removed on the follower -> row
///     removed: a dead object is never named again; a crash before the last arrow only repeats the
///     removal, and missing objects count as removed.
class Collector {
 public:
  Collector(const NamespaceOptions& options, db::Database& database, ObjectBackends& backends,
            EventHub& hub, const Clock& clock);

  /// One round; goes on with the other parts when one fails and answers the first error.
  Task<Result<void>> round();

  const metrics::Counter& removed() const { return removed_; }  ///< objects
  const metrics::Counter& failed() const { return failed_; }

 private:
  Task<Result<void>> end_silent_sessions();
  Task<Result<void>> collect_orphans();
  Task<Result<void>> mark_dead(db::ObjectState state, std::chrono::nanoseconds grace);
  Task<Result<void>> remove_dead();
  struct Removal {
    uint64_t id = 0;
    bool gone = false;
  };
  /// How many could not be removed.
  Task<Result<size_t>> remove_objects(std::vector<db::DeadObject> rows);
  Task<std::vector<Removal>> remove_of(PolicyId policy, std::vector<db::DeadObject> rows);
  Task<Result<void>> prune();

  const NamespaceOptions options_;
  db::Database& database_;
  ObjectBackends& backends_;
  EventHub& hub_;
  const Clock& clock_;
  db::DeadPlace tried_;  ///< up to here; only remove_dead()
  metrics::Counter removed_;
  metrics::Counter failed_;
};

}  // namespace aster::primary
