#pragma once

/// Accounts, remote nodes, storage policies and settings. Times are unix seconds, 0 = never.
namespace aster::db {

inline constexpr char kAdminSchema[] = R"sql(
CREATE TABLE users(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  password_hash TEXT NOT NULL,
  role TEXT NOT NULL CHECK(role IN ('user', 'admin')),
  status TEXT NOT NULL CHECK(status IN ('active', 'disabled')),
  workspace INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE tokens(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  hash TEXT NOT NULL UNIQUE,
  user INTEGER NOT NULL,
  name TEXT NOT NULL,
  scopes TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  last_used_at INTEGER NOT NULL,
  revoked_at INTEGER NOT NULL
) STRICT;
CREATE INDEX tokens_of_user ON tokens(user);

CREATE TABLE admin_audit(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  actor INTEGER NOT NULL,
  action TEXT NOT NULL,
  subject TEXT NOT NULL
) STRICT;

CREATE TABLE remote_nodes(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  storage_namespace TEXT NOT NULL UNIQUE,
  access_key TEXT NOT NULL UNIQUE,
  secret_key TEXT NOT NULL,
  base_url TEXT NOT NULL,
  enabled INTEGER NOT NULL,
  transport_mode TEXT NOT NULL,
  enrolled INTEGER NOT NULL,
  last_error TEXT NOT NULL,
  last_checked_at INTEGER NOT NULL,
  capabilities TEXT NOT NULL,
  dialect TEXT NOT NULL,
  desired_revision INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE enrollments(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  node INTEGER NOT NULL,
  token_hash TEXT NOT NULL UNIQUE,
  ack_hash TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  redeemed_at INTEGER NOT NULL,
  completed_at INTEGER NOT NULL,
  invalidated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX enrollments_of_node ON enrollments(node);
CREATE INDEX enrollments_by_ack ON enrollments(ack_hash);

CREATE TABLE node_targets(
  node INTEGER NOT NULL,
  key TEXT NOT NULL,
  position INTEGER NOT NULL,
  info TEXT NOT NULL,
  seen_at INTEGER NOT NULL,
  PRIMARY KEY(node, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE policies(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  driver TEXT NOT NULL,
  base_path TEXT NOT NULL,
  node INTEGER,
  target_key TEXT NOT NULL,
  max_file_size INTEGER NOT NULL,
  chunk_size INTEGER NOT NULL,
  is_default INTEGER NOT NULL,
  allowed_types TEXT NOT NULL,
  options TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE settings(
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
)sql";

}  // namespace aster::db
