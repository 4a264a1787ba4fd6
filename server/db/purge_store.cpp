#include "server/db/purge_store.h"

namespace aster::db {

void PurgeStore::insert(const PurgeRow& row) {
  txn_.exec("INSERT INTO purges(workspace, name, started) VALUES (?1,?2,?3)", row.workspace,
            row.name, row.started);
}

std::vector<PurgeRow> PurgeStore::all() {
  std::vector<PurgeRow> rows;
  Query q = txn_.query(
      "SELECT p.workspace, p.name, p.started, w.inodes, w.bytes FROM purges p "
      "JOIN workspaces w ON w.id=p.workspace ORDER BY p.workspace");
  while (q.next()) rows.push_back({q.uint64(0), q.text(1), q.int64(2), q.int64(3), q.int64(4)});
  return rows;
}

void PurgeStore::erase(uint64_t workspace) {
  txn_.exec("DELETE FROM purges WHERE workspace=?1", workspace);
}

void PurgeStore::push(uint64_t workspace, const Directory& directory) {
  txn_.exec(
      "INSERT OR IGNORE INTO purge_directories(workspace, ino, parent, name) VALUES (?1,?2,?3,?4)",
      workspace, directory.ino, directory.parent, Blob{directory.name});
}

std::optional<PurgeStore::Directory> PurgeStore::deepest(uint64_t workspace) {
  Query q = txn_.query(
      "SELECT ino, parent, name FROM purge_directories WHERE workspace=?1 ORDER BY id DESC LIMIT 1",
      workspace);
  if (!q.next()) return std::nullopt;
  return Directory{InodeNo(q.uint64(0)), InodeNo(q.uint64(1)), q.text(2)};
}

void PurgeStore::pop(InodeNo directory) {
  txn_.exec("DELETE FROM purge_directories WHERE ino=?1", directory);
}

int64_t PurgeStore::doom_kept(uint64_t workspace, size_t limit) {
  return txn_.exec(
      "UPDATE kept SET kind=2 WHERE id IN (SELECT id FROM kept WHERE workspace=?1 "
      "AND kind IN (0, 1) LIMIT ?2)",
      workspace, limit);
}

bool PurgeStore::keeps_anything(uint64_t workspace) {
  return txn_.query("SELECT 1 FROM kept WHERE workspace=?1 LIMIT 1", workspace).next();
}

void PurgeStore::erase_workspace(uint64_t workspace) {
  txn_.exec("DELETE FROM policy_group_workspaces WHERE workspace=?1", workspace);
  txn_.exec("DELETE FROM webdav_locks WHERE workspace=?1", workspace);
  txn_.exec("DELETE FROM workspaces WHERE id=?1", workspace);
}

}  // namespace aster::db
