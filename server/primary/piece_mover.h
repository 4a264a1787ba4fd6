#pragma once

#include <functional>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/task.h"
#include "server/db/fs_store.h"
#include "server/primary/object_backend.h"

namespace aster::db {
class Database;
}

namespace aster::primary {

/// Moves bytes of objects to other policies. Every block is checked on the way: nothing damaged
/// gets a new, good checksum.
///
/// What kill -9 leaves, by arrow:
///   [T1: pending target] -> read, checked, written to the new storage, read back and checked
///     there: a pending object, which the collector removes like any grant that was not used
///   -> [T2: the extents that name bytes of the piece then name the new object]
class PieceMover {
 public:
  PieceMover(db::Database& database, ObjectBackends& backends, const Clock& clock)
      : database_(database), backends_(backends), clock_(clock) {}

  struct Piece {
    db::ObjectRow object;
    uint64_t begin = 0;  ///< in the object, at a block
    uint64_t end = 0;
    std::vector<uint32_t> crcs;
  };
  /// A small object as a whole, for all the files that share it, or only what the extent names.
  enum class Take { object, extent };
  /// What goes in one piece to a policy with these limits, from the extent's beginning on.
  static Result<Piece> cut(db::Txn& txn, const db::ExtentRow& extent, const PolicyLimits& limits,
                           Take take);

  /// Both run in T2.
  struct Adoption {
    /// The extents that shall name the new object instead.
    std::function<std::vector<db::ExtentStore::Reference>(db::Txn&)> references;
    std::function<void(db::Txn&, uint64_t bytes)> moved;  ///< not called for no bytes
  };
  /// Bytes of files that now lie there; 0: what named the piece changed or was removed meanwhile.
  /// corrupt: the object is damaged, or its copy was.
  Task<Result<uint64_t>> move(const Piece& piece, PolicyId policy, const Adoption& adoption);

 private:
  Task<Result<Bytes>> read(const Piece& piece);
  Task<Result<void>> write_checked(PolicyId policy, ObjectId name, const Piece& piece, Bytes bytes);
  Task<Result<uint64_t>> adopt(const Piece& piece, uint64_t target, const Adoption& adoption);

  db::Database& database_;
  ObjectBackends& backends_;
  const Clock& clock_;
};

}  // namespace aster::primary
