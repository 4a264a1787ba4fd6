#pragma once

/// Migration 11: bytes that a directory and everything below it may cover.
namespace aster::db {

inline constexpr char kTreeQuotasSchema[] = R"sql(
-- state 0: being counted, 1: counted, 2: being removed. `parent` is the tree that it lies in, 0 = in
-- none. `used` counts what its members cover, and those of trees that lie in it; not what is kept.
CREATE TABLE quota_trees(
  root INTEGER PRIMARY KEY,
  workspace INTEGER NOT NULL,
  parent INTEGER NOT NULL,
  state INTEGER NOT NULL,
  quota INTEGER NOT NULL,
  used INTEGER NOT NULL,
  counted INTEGER NOT NULL,
  created INTEGER NOT NULL);
CREATE INDEX quota_trees_unsettled ON quota_trees(root) WHERE state<>1;

-- The innermost tree of each inode in one.
CREATE TABLE quota_members(
  ino INTEGER PRIMARY KEY,
  tree INTEGER NOT NULL);
CREATE INDEX quota_members_by_tree ON quota_members(tree);

-- Directories whose entries still have to be counted, from the one after `cookie` on.
CREATE TABLE quota_walk(
  tree INTEGER NOT NULL,
  directory INTEGER NOT NULL,
  cookie INTEGER NOT NULL,
  PRIMARY KEY (tree, directory)) WITHOUT ROWID;

-- The names of an inode: the way up from a file.
CREATE INDEX dirents_by_ino ON dirents(ino);
)sql";

}  // namespace aster::db
