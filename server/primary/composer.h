#pragma once

#include "protocol/base/clock.h"
#include "protocol/base/metrics.h"
#include "protocol/base/task.h"
#include "server/db/compose_store.h"
#include "server/primary/manifest_rewriter.h"
#include "server/primary/namespace_service.h"
#include "server/primary/policy_gatherer.h"

namespace aster::primary {

/// Turns files that were written in parts into one object each, and what else lies in many pieces
/// into fewer (see ManifestRewriter). Files that were written to two policies are brought under one
/// first (see PolicyGatherer), a piece in a round: their queue row stays until that is done.
///
/// A file is composed when its extents are two or more whole parts of one policy, in order, without
/// gaps, from 0 to its end, each named by this file only, and all but the last a multiple of
/// kBlockSize (then the block checksums of the whole are those of the parts, one after the other).
///
/// The arrows, and what kill -9 leaves at each:
///   queue row -> [T1: job + pending target + list of parts; queue row goes]
///     before T1: the queue row; the next round plans again.
///   -> follower composes -> answered
///     job row, outcome unknown. The next rounds ask the follower for the target: there with the
///     right size = done; not there = wait until no request can be under way any more, then drop.
///   -> [T2: every extent that names a part names the target at the same bytes; target live with
///          checksums; parts unreferenced; job row goes]
///     before T2: as above, the target is found. After T2: finished; parts are collected later.
/// T2 replaces references wherever they are now, so a file that was changed, cut or cloned
/// meanwhile stays right even when the follower has deleted the parts. If nothing (or, while the
/// parts are still there, less than half) of the parts is referenced any more, the target is
/// dropped instead: marked dead, removed by the collector.
class Composer {
 public:
  Composer(db::Database& database, ObjectBackends& backends, const Clock& clock)
      : database_(database),
        backends_(backends),
        clock_(clock),
        gatherer_(database, backends, clock),
        rewriter_(database, backends, clock) {}

  /// Settles jobs whose outcome is unknown, then composes everything that is due.
  Task<Result<void>> round();
  /// Until the next file is due; nullopt when none waits.
  Result<std::optional<std::chrono::nanoseconds>> next_due();

  const metrics::Counter& composed() const { return composed_; }
  const metrics::Counter& failed() const { return failed_; }
  const metrics::Counter& rewritten() const { return rewriter_.rewritten(); }

 private:
  struct Plan {
    uint64_t job = 0;
    PolicyId policy;
    ObjectId target;
    std::vector<ObjectId> parts;
    uint64_t size = 0;
    int64_t started = 0;
  };
  /// What to do with a file that was due: bring it under one policy, compose it, see to its pieces,
  /// or nothing (now).
  struct Next {
    std::optional<Plan> plan;
    bool pieces = false;
    bool scattered = false;
  };

  Task<Result<void>> recover();
  Task<Result<void>> compose_due();
  Task<Result<void>> take(InodeNo ino);
  Task<Result<void>> compose_file(InodeNo ino, Plan plan);
  Task<Result<void>> rewrite_file(InodeNo ino);
  Task<Result<void>> gather_file(InodeNo ino);
  Result<Next> plan(db::Txn& txn, InodeNo ino);
  Result<std::optional<Plan>> load(uint64_t job);
  Task<Result<void>> settle(uint64_t job);
  Task<Result<void>> adopt(uint64_t job, bool parts_kept);
  Task<Result<void>> drop(uint64_t job, std::optional<std::chrono::nanoseconds> retry);

  db::Database& database_;
  ObjectBackends& backends_;
  const Clock& clock_;
  PolicyGatherer gatherer_;
  ManifestRewriter rewriter_;
  metrics::Counter composed_;
  metrics::Counter failed_;
};

}  // namespace aster::primary
