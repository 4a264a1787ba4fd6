#pragma once

#include <optional>
#include <string>
#include <vector>

#include "protocol/base/ids.h"
#include "server/db/txn.h"

namespace aster::db {

/// The directories that an inode lies in by any of its names, and those above them, in no order.
std::vector<InodeNo> directories_above(Txn& txn, InodeNo ino);

/// The names that lead from a directory down to an inode, by any of its names; nullopt when it does
/// not lie below.
std::optional<std::vector<std::string>> path_below(Txn& txn, InodeNo directory, InodeNo ino);

}  // namespace aster::db
