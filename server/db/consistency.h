#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/db/txn.h"

/// What must hold of the tables of the file system, whatever happened. Used by `aster_drive check`.
namespace aster::db {

/// A rule that does not hold.
struct Finding {
  std::string rule;                   ///< e.g. "name without inode"
  uint64_t count = 0;                 ///< rows that break it
  std::vector<std::string> examples;  ///< the first ones, for people
  bool repairable = false;            ///< what is right follows from other rows
};

/// Every rule that does not hold, in one snapshot. Needs time and memory like the number of inodes,
/// extents and objects, never more than n log n.
std::vector<Finding> check_consistency(Txn& txn);

/// Sets counters to what they count and removes what belongs to inodes that are gone; returns how
/// many rows it changed. Nothing else: where data could be meant either way it changes nothing, and
/// an object that turns out to be unreferenced is so since `now` (unix ns). The server must not
/// write meanwhile, or this must run in its one writer.
uint64_t repair_consistency(Txn& txn, int64_t now);

}  // namespace aster::db
