#include "server/db/workspace_store.h"

namespace aster::db {

uint64_t WorkspaceStore::insert(std::string_view name, int64_t now) {
  txn_.exec("INSERT INTO workspaces(name, root, created) VALUES (?1,0,?2)", name, now);
  return static_cast<uint64_t>(txn_.last_insert_id());
}

void WorkspaceStore::set_root(uint64_t workspace, InodeNo root) {
  txn_.exec("UPDATE workspaces SET root=?2 WHERE id=?1", workspace, root);
}

std::optional<InodeNo> WorkspaceStore::root(uint64_t workspace) {
  Query q = txn_.query("SELECT root FROM workspaces WHERE id=?1", workspace);
  if (!q.next()) return std::nullopt;
  return InodeNo(q.uint64(0));
}

std::optional<Usage> WorkspaceStore::usage(uint64_t workspace) {
  Query q =
      txn_.query("SELECT inodes, bytes, pending_objects FROM workspaces WHERE id=?1", workspace);
  if (!q.next()) return std::nullopt;
  return Usage{q.int64(0), q.int64(1), q.int64(2)};
}

void WorkspaceStore::add_usage(uint64_t workspace, const Usage& delta) {
  txn_.exec(
      "UPDATE workspaces SET inodes=inodes+?2, bytes=bytes+?3, "
      "pending_objects=pending_objects+?4 WHERE id=?1",
      workspace, delta.inodes, delta.bytes, delta.pending_objects);
}

uint64_t WorkspaceStore::quota(uint64_t workspace) {
  Query q = txn_.query("SELECT quota FROM workspaces WHERE id=?1", workspace);
  return q.next() ? q.uint64(0) : 0;
}

void WorkspaceStore::set_quota(uint64_t workspace, uint64_t bytes) {
  txn_.exec("UPDATE workspaces SET quota=?2 WHERE id=?1", workspace, bytes);
}

int64_t WorkspaceStore::bytes_of_removed(uint64_t workspace) {
  Query q = txn_.query(
      "SELECT coalesce(sum(i.allocated), 0) FROM orphans o JOIN inodes i ON i.ino=o.ino "
      "WHERE i.workspace=?1 AND o.ino NOT IN (SELECT ino FROM holds)",
      workspace);
  return q.next() ? q.int64(0) : 0;
}

}  // namespace aster::db
