#include "server/db/kept_store.h"

namespace aster::db {
namespace {

KeptRow read_kept(const Query& q) {
  KeptRow row;
  row.id = q.uint64(0);
  row.ino = InodeNo(q.uint64(1));
  row.workspace = q.uint64(2);
  row.kind = static_cast<KeptKind>(q.int64(3));
  row.parent = InodeNo(q.uint64(4));
  row.name = q.text(5);
  row.at = q.int64(6);
  row.bytes = q.uint64(7);
  return row;
}

std::vector<KeptRow> read_all(Query q) {
  std::vector<KeptRow> rows;
  while (q.next()) rows.push_back(read_kept(q));
  return rows;
}

std::optional<KeptRow> read_one(Query q) {
  if (!q.next()) return std::nullopt;
  return read_kept(q);
}

uint64_t below(uint64_t before) {
  return before == 0 ? INT64_MAX : before;
}

}  // namespace

uint64_t KeptStore::insert(const KeptRow& row) {
  txn_.exec(
      "INSERT INTO kept(ino, workspace, kind, parent, name, at, bytes) "
      "VALUES (?1,?2,?3,?4,?5,?6,?7)",
      row.ino, row.workspace, row.kind, row.parent, Blob{row.name}, row.at, row.bytes);
  return static_cast<uint64_t>(txn_.last_insert_id());
}

std::optional<KeptRow> KeptStore::find(uint64_t id) {
  return read_one(txn_.query("SELECT * FROM kept WHERE id=?1", id));
}

std::optional<KeptRow> KeptStore::of_inode(InodeNo ino) {
  return read_one(txn_.query("SELECT * FROM kept WHERE ino=?1", ino));
}

void KeptStore::erase(uint64_t id) {
  txn_.exec("DELETE FROM kept WHERE id=?1", id);
}

std::vector<KeptRow> KeptStore::latest(const Page& page) {
  return read_all(txn_.query(
      "SELECT * FROM kept WHERE workspace=?1 AND kind=?2 AND id<?3 ORDER BY id DESC LIMIT ?4",
      page.workspace, page.kind, below(page.before), page.limit));
}

std::vector<KeptRow> KeptStore::of_parent(InodeNo parent, KeptKind kind, uint64_t before,
                                          size_t limit) {
  return read_all(txn_.query(
      "SELECT * FROM kept WHERE parent=?1 AND kind=?2 AND id<?3 ORDER BY id DESC LIMIT ?4", parent,
      kind, below(before), limit));
}

bool KeptStore::has_children(InodeNo parent) {
  return txn_.query("SELECT 1 FROM kept WHERE parent=?1 LIMIT 1", parent).next();
}

void KeptStore::doom(uint64_t id) {
  txn_.exec("UPDATE kept SET kind=2 WHERE id=?1", id);
}

int64_t KeptStore::doom_until(uint64_t workspace, KeptKind kind, int64_t until, size_t limit) {
  return txn_.exec(
      "UPDATE kept SET kind=2 WHERE id IN (SELECT id FROM (SELECT id, at FROM kept "
      "WHERE workspace=?1 AND kind=?2 ORDER BY id LIMIT ?4) WHERE at<=?3)",
      workspace, kind, until, limit);
}

int64_t KeptStore::doom_below(size_t limit) {
  return txn_.exec(
      "UPDATE kept SET kind=2 WHERE id IN (SELECT c.id FROM kept p CROSS JOIN kept c "
      "ON c.parent=p.ino WHERE p.kind=2 AND c.kind<>2 LIMIT ?1)",
      limit);
}

void KeptStore::doom_versions(InodeNo file) {
  txn_.exec("UPDATE kept SET kind=2 WHERE parent=?1 AND kind=1", file);
}

std::vector<KeptRow> KeptStore::removable(size_t limit) {
  return read_all(txn_.query(
      "SELECT * FROM kept k WHERE kind=2 AND NOT EXISTS (SELECT 1 FROM holds WHERE ino=k.ino) "
      "AND NOT EXISTS (SELECT 1 FROM kept c WHERE c.parent=k.ino) LIMIT ?1",
      limit));
}

std::vector<uint64_t> KeptStore::workspaces() {
  std::vector<uint64_t> ids;
  Query q = txn_.query(
      "SELECT id FROM workspaces w WHERE EXISTS (SELECT 1 FROM kept WHERE workspace=w.id)");
  while (q.next()) ids.push_back(q.uint64(0));
  return ids;
}

uint64_t KeptStore::bytes(uint64_t workspace) {
  Query q = txn_.query(
      "SELECT coalesce(sum(bytes), 0) FROM kept WHERE workspace=?1 AND kind IN (0, 1)", workspace);
  return q.next() ? q.uint64(0) : 0;
}

std::vector<KeptStore::Oldest> KeptStore::oldest(uint64_t workspace, size_t limit) {
  std::vector<Oldest> rows;
  Query q = txn_.query(
      "SELECT id, bytes FROM kept WHERE workspace=?1 AND kind IN (0, 1) AND bytes>0 "
      "ORDER BY id LIMIT ?2",
      workspace, limit);
  while (q.next()) rows.push_back({q.uint64(0), q.uint64(1)});
  return rows;
}

std::optional<std::string> KeptStore::entry_name(InodeNo parent, InodeNo ino) {
  Query q = txn_.query("SELECT name FROM dirents WHERE parent=?1 AND ino=?2", parent, ino);
  if (!q.next()) return std::nullopt;
  return q.text(0);
}

void DirectorySettings::put(InodeNo directory, std::string_view name, std::string_view value) {
  txn_.exec("INSERT OR REPLACE INTO directory_settings(ino, name, value) VALUES (?1,?2,?3)",
            directory, name, value);
}

bool DirectorySettings::remove(InodeNo directory, std::string_view name) {
  return txn_.exec("DELETE FROM directory_settings WHERE ino=?1 AND name=?2", directory, name) > 0;
}

void DirectorySettings::forget(InodeNo directory) {
  txn_.exec("DELETE FROM directory_settings WHERE ino=?1", directory);
}

std::optional<std::string> DirectorySettings::own(InodeNo directory, std::string_view name) {
  Query q =
      txn_.query("SELECT value FROM directory_settings WHERE ino=?1 AND name=?2", directory, name);
  if (!q.next()) return std::nullopt;
  return q.text(0);
}

// Most drives have none: then there is no way up to go.
std::optional<std::string> DirectorySettings::effective(InodeNo directory, std::string_view name) {
  if (!txn_.query("SELECT 1 FROM directory_settings WHERE name=?1 LIMIT 1", name).next()) {
    return std::nullopt;
  }
  Query q = txn_.query(
      "WITH RECURSIVE up(ino, depth) AS (SELECT ?1, 0 UNION ALL "
      "SELECT i.parent, depth+1 FROM up JOIN inodes i ON i.ino=up.ino WHERE i.parent<>up.ino "
      "AND depth<65536) "
      "SELECT s.value FROM up JOIN directory_settings s ON s.ino=up.ino AND s.name=?2 "
      "ORDER BY up.depth LIMIT 1",
      directory, name);
  if (!q.next()) return std::nullopt;
  return q.text(0);
}

}  // namespace aster::db
