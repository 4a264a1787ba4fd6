#include "server/db/inode_store.h"

namespace aster::db {
namespace {

std::optional<Blob> unless_empty(const std::string& bytes) {
  return bytes.empty() ? std::nullopt : std::optional(Blob{bytes});
}

/// What is read of an inode "i". Migrations only ever append columns to the table.
#define ASTER_INODE_COLUMNS "NOT EXISTS (SELECT 1 FROM xattrs x WHERE x.ino=i.ino), i.*"

/// Reads ASTER_INODE_COLUMNS that start at column `at`.
InodeRow read_inode(const Query& q, int at = 0) {
  InodeRow row;
  fs::Attr& a = row.attr;
  a.no_xattrs = q.int64(at++) != 0;
  a.ino = InodeNo(q.uint64(at));
  row.guid = q.random_id<Guid>(at + 1);
  row.workspace = q.uint64(at + 2);
  a.type = static_cast<fs::FileType>(q.int64(at + 3));
  a.mode = static_cast<uint32_t>(q.int64(at + 4));
  a.uid = static_cast<uint32_t>(q.int64(at + 5));
  a.gid = static_cast<uint32_t>(q.int64(at + 6));
  a.nlink = q.uint64(at + 7);
  a.size = q.uint64(at + 8);
  a.allocated = q.uint64(at + 9);
  a.rdev = q.uint64(at + 10);
  a.atime = q.int64(at + 11);
  a.mtime = q.int64(at + 12);
  a.ctime = q.int64(at + 13);
  a.btime = q.int64(at + 14);
  a.data_version = q.uint64(at + 15);
  a.change = q.uint64(at + 16);
  row.parent = InodeNo(q.uint64(at + 17));
  row.last_cookie = q.uint64(at + 18);
  if (a.type == fs::FileType::symlink) a.target = q.text(at + 19);
  a.acl = q.text(at + 20);
  a.default_acl = q.text(at + 21);
  row.policy = PolicyId(q.uint64(at + 22));
  a.own_policy = row.policy.value != 0;
  return row;
}

}  // namespace

std::optional<InodeRow> InodeStore::find(InodeNo ino) {
  Query q = txn_.query("SELECT " ASTER_INODE_COLUMNS " FROM inodes i WHERE i.ino=?1", ino);
  if (!q.next()) return std::nullopt;
  return read_inode(q);
}

std::optional<InodeRow> InodeStore::child(InodeNo parent, std::string_view name) {
  Query q =
      txn_.query("SELECT " ASTER_INODE_COLUMNS
                 " FROM dirents d JOIN inodes i ON i.ino=d.ino WHERE d.parent=?1 AND d.name=?2",
                 parent, Blob{name});
  if (!q.next()) return std::nullopt;
  return read_inode(q);
}

void InodeStore::insert(InodeRow& row) {
  const fs::Attr& a = row.attr;
  std::optional<Blob> target;
  if (a.type == fs::FileType::symlink) target = Blob{a.target};
  txn_.exec(
      "INSERT INTO inodes(guid, workspace, type, mode, uid, gid, nlink, size, allocated, rdev, "
      "atime, mtime, ctime, btime, data_version, change, parent, last_cookie, target, acl, "
      "default_acl, ino, policy) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,"
      "?17,?18,?19,?20,?21,NULLIF(?22,0),?23)",
      row.guid, row.workspace, a.type, a.mode, a.uid, a.gid, a.nlink, a.size, a.allocated, a.rdev,
      a.atime, a.mtime, a.ctime, a.btime, a.data_version, a.change, row.parent, row.last_cookie,
      target, unless_empty(a.acl), unless_empty(a.default_acl), a.ino, row.policy);
  row.attr.own_policy = row.policy.value != 0;
  row.attr.ino = InodeNo(static_cast<uint64_t>(txn_.last_insert_id()));
  row.attr.no_xattrs = true;
}

InodeNo InodeStore::reserve(uint32_t count) {
  txn_.exec("UPDATE sqlite_sequence SET seq=seq+?1 WHERE name='inodes'", uint64_t{count});
  Query q = txn_.query("SELECT seq FROM sqlite_sequence WHERE name='inodes'");
  return q.next() ? InodeNo(q.uint64(0) - count + 1) : InodeNo();
}

bool InodeStore::is_reserved(InodeNo ino) {
  Query q = txn_.query(
      "SELECT 1 FROM sqlite_sequence WHERE name='inodes' AND seq>=?1 AND ?1>0 "
      "AND NOT EXISTS (SELECT 1 FROM inodes WHERE ino=?1)",
      ino);
  return q.next();
}

void InodeStore::update(const InodeRow& row) {
  const fs::Attr& a = row.attr;
  txn_.exec(
      "UPDATE inodes SET mode=?2, uid=?3, gid=?4, nlink=?5, size=?6, allocated=?7, atime=?8, "
      "mtime=?9, ctime=?10, data_version=?11, change=?12, parent=?13, last_cookie=?14, "
      "acl=?15, default_acl=?16 WHERE ino=?1",
      a.ino, a.mode, a.uid, a.gid, a.nlink, a.size, a.allocated, a.atime, a.mtime, a.ctime,
      a.data_version, a.change, row.parent, row.last_cookie, unless_empty(a.acl),
      unless_empty(a.default_acl));
}

bool InodeStore::touch(InodeNo ino, int64_t atime) {
  return txn_.exec("UPDATE inodes SET atime=max(atime, ?2) WHERE ino=?1", ino, atime) > 0;
}

void InodeStore::erase(InodeNo ino) {
  txn_.exec("DELETE FROM xattrs WHERE ino=?1", ino);
  txn_.exec("DELETE FROM quota_members WHERE ino=?1", ino);
  txn_.exec("DELETE FROM inodes WHERE ino=?1", ino);
}

void InodeStore::add_entry(InodeNo parent, std::string_view name, InodeNo ino, uint64_t cookie) {
  txn_.exec("INSERT INTO dirents(parent, name, ino, cookie) VALUES (?1,?2,?3,?4)", parent,
            Blob{name}, ino, cookie);
}

void InodeStore::repoint_entry(InodeNo parent, std::string_view name, InodeNo ino) {
  txn_.exec("UPDATE dirents SET ino=?3 WHERE parent=?1 AND name=?2", parent, Blob{name}, ino);
}

void InodeStore::remove_entry(InodeNo parent, std::string_view name) {
  txn_.exec("DELETE FROM dirents WHERE parent=?1 AND name=?2", parent, Blob{name});
}

bool InodeStore::has_entries(InodeNo parent) {
  return txn_.query("SELECT 1 FROM dirents WHERE parent=?1 LIMIT 1", parent).next();
}

std::vector<fs::DirEntry> InodeStore::list(InodeNo parent, uint64_t after, size_t limit) {
  std::vector<fs::DirEntry> entries;
  Query q = txn_.query(
      "SELECT d.name, d.cookie, " ASTER_INODE_COLUMNS
      " FROM dirents d INDEXED BY dirents_by_cookie "
      "JOIN inodes i ON i.ino=d.ino WHERE d.parent=?1 AND d.cookie>?2 ORDER BY d.cookie LIMIT ?3",
      parent, after, limit);
  while (q.next()) entries.push_back({q.text(0), q.uint64(1), read_inode(q, 2).attr});
  return entries;
}

std::optional<std::string> InodeStore::xattr(InodeNo ino, std::string_view name) {
  Query q = txn_.query("SELECT value FROM xattrs WHERE ino=?1 AND name=?2", ino, Blob{name});
  if (!q.next()) return std::nullopt;
  return q.text(0);
}

void InodeStore::put_xattr(InodeNo ino, std::string_view name, std::string_view value) {
  txn_.exec("INSERT OR REPLACE INTO xattrs(ino, name, value) VALUES (?1,?2,?3)", ino, Blob{name},
            Blob{value});
}

bool InodeStore::remove_xattr(InodeNo ino, std::string_view name) {
  return txn_.exec("DELETE FROM xattrs WHERE ino=?1 AND name=?2", ino, Blob{name}) > 0;
}

std::vector<std::string> InodeStore::xattr_names(InodeNo ino) {
  std::vector<std::string> names;
  Query q = txn_.query("SELECT name FROM xattrs WHERE ino=?1 ORDER BY name", ino);
  while (q.next()) names.push_back(q.text(0));
  return names;
}

}  // namespace aster::db
