#pragma once

/// Migration 1. Times are nanoseconds since the Unix epoch. Random ids are 16-byte BLOBs.
namespace aster::db {

inline constexpr char kFilesystemSchema[] = R"sql(
-- Who this database is. `epoch` is made anew with each creation or restore, so that a cursor into
-- another history is recognised. `origin` names the database in journals that travel.
CREATE TABLE identity(
  one INTEGER PRIMARY KEY CHECK (one = 1),
  epoch BLOB NOT NULL,
  origin BLOB NOT NULL);
INSERT INTO identity VALUES (1, randomblob(16), randomblob(16));

-- One tree each. The counters are what statfs shows and what bounds grants.
CREATE TABLE workspaces(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL,
  root INTEGER NOT NULL,
  created INTEGER NOT NULL,
  inodes INTEGER NOT NULL DEFAULT 0,
  bytes INTEGER NOT NULL DEFAULT 0,
  pending_objects INTEGER NOT NULL DEFAULT 0);

CREATE TABLE inodes(
  ino INTEGER PRIMARY KEY AUTOINCREMENT,
  guid BLOB NOT NULL,
  workspace INTEGER NOT NULL,
  type INTEGER NOT NULL,
  mode INTEGER NOT NULL,
  uid INTEGER NOT NULL,
  gid INTEGER NOT NULL,
  nlink INTEGER NOT NULL,
  size INTEGER NOT NULL,
  allocated INTEGER NOT NULL,
  rdev INTEGER NOT NULL,
  atime INTEGER NOT NULL,
  mtime INTEGER NOT NULL,
  ctime INTEGER NOT NULL,
  btime INTEGER NOT NULL,
  data_version INTEGER NOT NULL,
  change INTEGER NOT NULL,
  parent INTEGER NOT NULL,        -- of directories: "..", the root's is itself; else 0
  last_cookie INTEGER NOT NULL,   -- of directories: the highest one given to an entry so far
  target BLOB);                   -- of symlinks

CREATE TABLE dirents(
  parent INTEGER NOT NULL,
  name BLOB NOT NULL,
  ino INTEGER NOT NULL,
  cookie INTEGER NOT NULL,
  PRIMARY KEY (parent, name)) WITHOUT ROWID;
CREATE UNIQUE INDEX dirents_by_cookie ON dirents(parent, cookie);

CREATE TABLE xattrs(
  ino INTEGER NOT NULL,
  name BLOB NOT NULL,
  value BLOB NOT NULL,
  PRIMARY KEY (ino, name)) WITHOUT ROWID;

-- state 0 pending (granted, not committed), 1 live, 2 dead (never to be used again; being removed).
-- refs = rows of extents that name it. since = when it came into its state or lost its last ref.
CREATE TABLE objects(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name BLOB NOT NULL UNIQUE,
  workspace INTEGER NOT NULL,
  policy INTEGER NOT NULL,
  state INTEGER NOT NULL,
  size INTEGER NOT NULL,
  refs INTEGER NOT NULL,
  since INTEGER NOT NULL);
CREATE INDEX objects_idle ON objects(state, since) WHERE refs = 0;

-- CRC32C of each 128 KiB block, 1024 blocks (little-endian 32-bit words) in a row, so that neither
-- reading nor writing a window of a huge object touches all of it.
CREATE TABLE object_checksums(
  object INTEGER NOT NULL,
  chunk INTEGER NOT NULL,
  crcs BLOB NOT NULL,
  PRIMARY KEY (object, chunk)) WITHOUT ROWID;

CREATE TABLE extents(
  ino INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  length INTEGER NOT NULL,
  object INTEGER NOT NULL,
  object_offset INTEGER NOT NULL,
  PRIMARY KEY (ino, offset)) WITHOUT ROWID;
CREATE INDEX extents_by_object ON extents(object);

-- Positions are given in the order of commit (one writer). Rows are only ever removed from the old
-- end, never the last one. `origin` is NULL for changes made here.
CREATE TABLE journal(
  position INTEGER PRIMARY KEY,
  event BLOB NOT NULL,
  at INTEGER NOT NULL,
  workspace INTEGER NOT NULL,
  session INTEGER NOT NULL,
  op TEXT NOT NULL,
  inode BLOB,
  parent BLOB,
  name BLOB,
  new_parent BLOB,
  new_name BLOB,
  origin BLOB,
  origin_position INTEGER,
  invalidation TEXT NOT NULL);

-- Answers of mutations by operation id: a repeated id is answered, not done again.
CREATE TABLE operation_results(
  position INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE,
  at INTEGER NOT NULL,
  workspace INTEGER NOT NULL,
  op TEXT NOT NULL,
  answer TEXT NOT NULL);

CREATE TABLE sessions(
  id INTEGER PRIMARY KEY,
  user INTEGER NOT NULL,
  workspace INTEGER NOT NULL,
  client TEXT NOT NULL,
  opened INTEGER NOT NULL);
CREATE TABLE holds(
  ino INTEGER NOT NULL,
  session INTEGER NOT NULL,
  PRIMARY KEY (ino, session)) WITHOUT ROWID;
CREATE INDEX holds_by_session ON holds(session);
-- Inodes without a name: kept while held, and for a grace period after `since`.
CREATE TABLE orphans(
  ino INTEGER PRIMARY KEY,
  since INTEGER NOT NULL);

-- Files that may be worth composing, looked at when due.
CREATE TABLE compose_queue(
  ino INTEGER PRIMARY KEY,
  due INTEGER NOT NULL);
CREATE INDEX compose_queue_by_due ON compose_queue(due);
-- Intent: `parts` are being joined into `target` on the follower; the row goes with the outcome.
CREATE TABLE compose_jobs(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  ino INTEGER NOT NULL UNIQUE,
  target INTEGER NOT NULL,
  started INTEGER NOT NULL);
CREATE TABLE compose_parts(
  job INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  object INTEGER NOT NULL,
  PRIMARY KEY (job, seq)) WITHOUT ROWID;
)sql";

}  // namespace aster::db
