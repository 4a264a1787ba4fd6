#pragma once

#include <optional>

#include "server/db/fs_store.h"
#include "server/primary/piece_mover.h"

namespace aster::primary {

/// Brings files whose size became known only while they were written under one policy: the first
/// parts went where small files go, the last ones where the whole file belongs. The first ones
/// follow the last, whose grant was asked for with (about) the final size.
///
/// Only what is as it was uploaded is moved: a file with an object larger than a part was complete
/// before, and stays where it is, whatever the rules say now. So do files whose directory chooses
/// the policy, and those that a migration is moving.
class PolicyGatherer {
 public:
  PolicyGatherer(db::Database& database, ObjectBackends& backends, const Clock& clock)
      : database_(database), backends_(backends), mover_(database, backends, clock) {}

  /// Whether some of the file has to be moved.
  bool scattered(db::Txn& txn, const db::InodeRow& file);
  /// Moves one piece of it, if any has to be; see PieceMover for what kill -9 leaves.
  Task<Result<void>> gather(InodeNo ino);

 private:
  struct Move {
    db::ExtentRow extent;
    PolicyId to;
  };
  std::optional<Move> next(db::Txn& txn, const db::InodeRow& file);

  db::Database& database_;
  ObjectBackends& backends_;
  PieceMover mover_;
};

}  // namespace aster::primary
