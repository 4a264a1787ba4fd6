#pragma once

/// Accounts and locks of WebDAV. Times are unix seconds.
namespace aster::db {

inline constexpr char kWebdavSchema[] = R"sql(
CREATE TABLE webdav_accounts(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  user INTEGER NOT NULL,
  name TEXT NOT NULL UNIQUE,
  password_hash TEXT NOT NULL,
  root INTEGER NOT NULL,
  root_path TEXT NOT NULL,
  read_only INTEGER NOT NULL,
  active INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX webdav_accounts_of_user ON webdav_accounts(user);

CREATE TABLE webdav_locks(
  token TEXT PRIMARY KEY,
  workspace INTEGER NOT NULL,
  ino INTEGER NOT NULL,
  above TEXT NOT NULL,
  shared INTEGER NOT NULL,
  deep INTEGER NOT NULL,
  path TEXT NOT NULL,
  owner TEXT NOT NULL,
  principal TEXT NOT NULL,
  timeout INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
)sql";

}  // namespace aster::db
