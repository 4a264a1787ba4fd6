#pragma once

/// Teams with trees of their own, and what the audit log says besides names.
namespace aster::db {

inline constexpr char kPeopleSchema[] = R"sql(
ALTER TABLE admin_audit ADD COLUMN detail TEXT NOT NULL DEFAULT '';

CREATE TABLE teams(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  description TEXT NOT NULL,
  workspace INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  archived_at INTEGER NOT NULL
) STRICT;
CREATE INDEX teams_by_workspace ON teams(workspace);

CREATE TABLE team_members(
  team INTEGER NOT NULL,
  user INTEGER NOT NULL,
  role TEXT NOT NULL CHECK(role IN ('reader', 'member', 'manager', 'owner')),
  added_at INTEGER NOT NULL,
  PRIMARY KEY(team, user)
) STRICT, WITHOUT ROWID;
CREATE INDEX team_members_by_user ON team_members(user);

-- As Workspaces::enter() takes it; empty = the user's own tree.
ALTER TABLE webdav_accounts ADD COLUMN workspace TEXT NOT NULL DEFAULT '';
)sql";

}  // namespace aster::db
