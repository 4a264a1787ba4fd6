#pragma once

/// Bytes that files of a workspace may cover.
namespace aster::db {

inline constexpr char kQuotaSchema[] = R"sql(
-- 0 = no limit.
ALTER TABLE workspaces ADD COLUMN quota INTEGER NOT NULL DEFAULT 0;
)sql";

}  // namespace aster::db
