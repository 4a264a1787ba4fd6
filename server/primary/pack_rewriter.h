#pragma once

#include "protocol/base/clock.h"
#include "protocol/base/task.h"
#include "server/db/object_store.h"
#include "server/primary/namespace_service.h"

namespace aster::primary {

/// Gives back the room that removed and overwritten files leave in packs (objects that many small
/// files share): one of which less than half is named by files is written anew without the rest.
///
/// What kill -9 leaves, by arrow:
///   pack -> [T1: pending target] -> written on the follower: a pending object, which the collector
///     removes like any grant that was not used.
///   -> [T2: every extent that names a byte of the old pack names it in the new one]: after T2 the
///     old pack is unreferenced; it stays readable for its grace, then the collector removes it.
/// T2 moves references wherever they are then. It never loses any: what was named by nobody when
/// the target was written cannot be named later.
class PackRewriter {
 public:
  PackRewriter(const NamespaceOptions& options, db::Database& database, ObjectBackends& backends,
               const Clock& clock)
      : options_(options), database_(database), backends_(backends), clock_(clock) {}

  /// Looks at a window of all objects, the next one each time, and rewrites what it finds there,
  /// within a budget of bytes. A pack that cannot be rewritten now does not fail the round.
  Task<Result<void>> round();

 private:
  /// Bytes that stay: `length` at `from` of the old pack stand at `to` of the new one.
  struct Run {
    uint64_t from = 0;
    uint64_t length = 0;
    uint64_t to = 0;
  };
  struct Plan {
    db::ObjectRow pack;
    std::vector<Run> runs;
    uint64_t size = 0;  // of the new one
    std::vector<uint32_t> crcs;
  };

  Result<std::vector<Plan>> find();
  static std::vector<Run> runs_of(db::Txn& txn, uint64_t object);
  Task<Result<void>> rewrite(Plan plan);
  Task<Result<Bytes>> keep(const Plan& plan);
  Task<Result<void>> adopt(const Plan& plan, uint64_t target, std::vector<uint32_t> crcs);

  const NamespaceOptions options_;
  db::Database& database_;
  ObjectBackends& backends_;
  const Clock& clock_;
  uint64_t looked_at_ = 0;  // objects up to this number, in this pass
};

}  // namespace aster::primary
