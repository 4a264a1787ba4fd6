#pragma once

#include "protocol/base/clock.h"
#include "protocol/base/task.h"
#include "server/db/kept_store.h"
#include "server/primary/namespace_service.h"

namespace aster::primary {

/// Takes away what the trash and versions have kept for long enough, or too much of.
///
/// What kill -9 leaves, by arrow:
///   kept -> doomed (one transaction; can be neither seen nor restored from then on) -> extents
///     removed, in pieces -> inode and row removed: each piece is one transaction; the row stays
///     until the last, so the next round goes on.
class KeptCollector {
 public:
  KeptCollector(const NamespaceOptions& options, db::Database& database, ObjectBackends& backends,
                const Clock& clock)
      : keep_(options.keep), database_(database), backends_(backends), clock_(clock) {}

  Task<Result<void>> round();

 private:
  Task<Result<void>> doom_old(uint64_t workspace);
  Task<Result<void>> doom_excess(uint64_t workspace);
  Task<Result<void>> doom_below();
  Task<Result<void>> remove_doomed();
  /// Bytes that a workspace may keep; nullopt: any.
  std::optional<uint64_t> limit(db::Txn& txn, uint64_t workspace, uint64_t storage) const;

  const KeepOptions keep_;
  db::Database& database_;
  ObjectBackends& backends_;
  const Clock& clock_;
};

}  // namespace aster::primary
