#pragma once

/// Migration 10: which policy new data gets, and moving what is stored from one to another. Times
/// are unix seconds.
namespace aster::db {

inline constexpr char kPolicyGroupsSchema[] = R"sql(
-- Of files: what a directory above them chose when they were made; 0 = nothing.
ALTER TABLE inodes ADD COLUMN policy INTEGER NOT NULL DEFAULT 0;

CREATE TABLE policy_groups(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  description TEXT NOT NULL,
  enabled INTEGER NOT NULL,
  is_default INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;
-- Sizes in [min_size, max_size); max_size 0 = no limit.
CREATE TABLE policy_rules(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  policy_group INTEGER NOT NULL,
  policy INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  min_size INTEGER NOT NULL,
  max_size INTEGER NOT NULL,
  enabled INTEGER NOT NULL,
  UNIQUE (policy_group, policy),
  UNIQUE (policy_group, priority)
) STRICT;
CREATE TABLE policy_group_users(
  user INTEGER PRIMARY KEY,
  policy_group INTEGER NOT NULL
) STRICT;
CREATE TABLE policy_group_workspaces(
  workspace INTEGER PRIMARY KEY,
  policy_group INTEGER NOT NULL
) STRICT;

-- Jobs that move the data of a tree to another policy. state: 0 listing files, 1 moving, 2 done,
-- 3 failed, 4 cancelled.
CREATE TABLE policy_migrations(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  workspace INTEGER NOT NULL,
  root INTEGER NOT NULL,
  path TEXT NOT NULL,
  policy INTEGER NOT NULL,
  rate INTEGER NOT NULL,
  state INTEGER NOT NULL,
  files INTEGER NOT NULL,
  files_done INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  bytes_done INTEGER NOT NULL,
  problem TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;
-- What is still to be done: directories to list, then files to move.
CREATE TABLE policy_migration_inodes(
  job INTEGER NOT NULL,
  ino INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  PRIMARY KEY (job, kind, ino)
) STRICT, WITHOUT ROWID;
)sql";

}  // namespace aster::db
