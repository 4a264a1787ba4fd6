#pragma once

#include <compare>
#include <vector>

#include "protocol/base/ids.h"
#include "server/db/txn.h"

namespace aster::db {

/// An object that nothing refers to any more and that is to be removed from its storage.
struct DeadObject {
  uint64_t id = 0;  ///< this database's number
  ObjectId name;
  PolicyId policy;
  int64_t since = 0;  ///< unix ns; when it was found to be unreferenced, or may be removed
};

/// Where an object is among the dead ones, which stand in the order of their deaths.
struct DeadPlace {
  int64_t since = 0;
  uint64_t id = 0;
  auto operator<=>(const DeadPlace&) const = default;
};

/// At most `limit` of those in (after, up_to], in order. Targets and parts of compositions under
/// way are not among them.
std::vector<DeadObject> dead_objects(Txn& txn, DeadPlace after, DeadPlace up_to, size_t limit);

/// How many have been waiting since before `before`, unix ns.
uint64_t count_dead_objects(Txn& txn, int64_t before);

}  // namespace aster::db
