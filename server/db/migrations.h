#pragma once

#include <span>
#include <string_view>

#include "protocol/base/result.h"

namespace aster::db {

class Connection;

/// One numbered step of the schema. Never changed once released: later needs are later steps.
struct Migration {
  int number;  ///< ascending; never used twice
  std::string_view name;
  std::string_view sql;  ///< several statements
};

/// All steps of this program, in order.
std::span<const Migration> all_migrations();

/// Brings the database up to the last of `steps`. precondition_failed, with both numbers in the
/// text, when the database was written by a newer program. All steps share one transaction: a
/// failure or a crash leaves the database as it was.
Result<void> migrate(Connection& connection, std::span<const Migration> steps);

}  // namespace aster::db
