#pragma once

/// Migration 9: what is kept of deleted files and of earlier contents, and what directories say
/// about everything below them.
namespace aster::db {

inline constexpr char kKeptSchema[] = R"sql(
-- Inodes without a name that are kept, in order of time. Their bytes and themselves are not in the
-- counters of their workspace.
-- kind 0: in the trash; `parent` is the directory that had it under `name`, there or in the trash.
-- kind 1: an earlier content of the file `parent`. kind 2: to be removed.
CREATE TABLE kept(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  ino INTEGER NOT NULL UNIQUE,
  workspace INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  parent INTEGER NOT NULL,
  name BLOB NOT NULL,
  at INTEGER NOT NULL,
  bytes INTEGER NOT NULL);
CREATE INDEX kept_by_workspace ON kept(workspace, kind);
CREATE INDEX kept_by_parent ON kept(parent);
CREATE INDEX kept_doomed ON kept(id) WHERE kind=2;

-- What the nearest directory above (or itself) says counts.
CREATE TABLE directory_settings(
  ino INTEGER NOT NULL,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (ino, name)) WITHOUT ROWID;
CREATE INDEX directory_settings_by_name ON directory_settings(name);
)sql";

}  // namespace aster::db
