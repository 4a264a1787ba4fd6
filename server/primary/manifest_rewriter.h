#pragma once

#include "protocol/base/clock.h"
#include "protocol/base/metrics.h"
#include "protocol/base/task.h"
#include "server/primary/object_backend.h"
#include "server/primary/rewrite_plan.h"

namespace aster::db {
class Database;
}

namespace aster::primary {

/// Gives files that lie in many pieces (see plan_rewrite()) fewer of them, without moving more than
/// needed: the follower joins what stays as it is, only blocks in which extents meet are read and
/// written again. Where a follower cannot join pieces, only what is put together anew as a whole is
/// rewritten.
///
/// The arrows, and what kill -9 leaves at each:
///   fresh blocks read and checked
///     nothing.
///   -> [T1: pending target, pending object for the fresh blocks] -> fresh blocks written
///      -> joined on the follower
///     pending objects, which the collector removes like any grant that was not used.
///   -> [T2: extents that still name the same bytes as planned name the target]
///     after T2 the old objects lost those references; they stay readable for their grace.
/// What was written meanwhile is left as it is; when that is more than half of the stretch, the
/// target is dropped.
class ManifestRewriter {
 public:
  ManifestRewriter(db::Database& database, ObjectBackends& backends, const Clock& clock)
      : database_(database), backends_(backends), clock_(clock) {}

  /// One stretch of the file. True: done, and there may be another.
  Task<Result<bool>> rewrite(InodeNo ino);

  const metrics::Counter& rewritten() const { return rewritten_; }

 private:
  struct Job {
    InodeNo ino;
    RewritePlan plan;
    ObjectRows objects;
    db::ObjectRow target;
    db::ObjectRow patch;  ///< the fresh runs, in order; id 0 when there are none besides the target
    std::vector<uint32_t> crcs;  ///< of the target
  };

  Result<std::optional<Job>> find(InodeNo ino);
  Task<Result<void>> begin(Job& job);
  Task<Result<Bytes>> fresh_bytes(const Job& job);
  Result<std::vector<uint32_t>> checksums(const Job& job, ByteView fresh);
  Task<Result<void>> store(const Job& job, Bytes fresh);
  Task<Result<bool>> adopt(const Job& job);

  db::Database& database_;
  ObjectBackends& backends_;
  const Clock& clock_;
  metrics::Counter rewritten_;
};

}  // namespace aster::primary
