#pragma once

#include <vector>

#include "protocol/base/ids.h"
#include "server/db/txn.h"

namespace aster::db {

/// The directories that an inode lies in by any of its names, and those above them, in no order.
std::vector<InodeNo> directories_above(Txn& txn, InodeNo ino);

}  // namespace aster::db
