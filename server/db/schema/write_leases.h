#pragma once

/// Sessions that may keep changes to themselves.
namespace aster::db {

inline constexpr char kWriteLeasesSchema[] = R"sql(
-- 1: after a restart of the server the session may know of changes that nobody else knows of.
ALTER TABLE sessions ADD COLUMN writes INTEGER NOT NULL DEFAULT 0;
)sql";

}  // namespace aster::db
