#pragma once

/// Migration 15: users can be removed.
namespace aster::db {

inline constexpr char kDepartedSchema[] = R"sql(
-- Of actors that are no users any more: what they were called. Empty for those that are.
ALTER TABLE admin_audit ADD COLUMN actor_name TEXT NOT NULL DEFAULT '';
)sql";

}  // namespace aster::db
