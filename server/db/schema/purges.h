#pragma once

/// Migration 12: trees that are being removed for ever.
namespace aster::db {

inline constexpr char kPurgesSchema[] = R"sql(
CREATE TABLE purges(
  workspace INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  started INTEGER NOT NULL);

-- Directories that still have to be emptied, the deepest last.
CREATE TABLE purge_directories(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  workspace INTEGER NOT NULL,
  ino INTEGER NOT NULL UNIQUE,
  parent INTEGER NOT NULL,
  name BLOB NOT NULL);
CREATE INDEX purge_directories_of ON purge_directories(workspace, id);
)sql";

}  // namespace aster::db
