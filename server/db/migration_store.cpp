#include "server/db/migration_store.h"

namespace aster::db {
namespace {

#define ASTER_MIGRATION_COLUMNS                                                            \
  "id, workspace, root, path, policy, rate, state, files, files_done, bytes, bytes_done, " \
  "problem, created_at, updated_at"

MigrationRow read_migration(const Query& q) {
  MigrationRow row;
  row.id = q.uint64(0);
  row.workspace = q.uint64(1);
  row.root = InodeNo(q.uint64(2));
  row.path = q.text(3);
  row.policy = PolicyId(q.uint64(4));
  row.rate = q.uint64(5);
  row.state = static_cast<MigrationState>(q.int64(6));
  row.files = q.uint64(7);
  row.files_done = q.uint64(8);
  row.bytes = q.uint64(9);
  row.bytes_done = q.uint64(10);
  row.problem = q.text(11);
  row.created_at = q.int64(12);
  row.updated_at = q.int64(13);
  return row;
}

}  // namespace

uint64_t MigrationStore::insert(const MigrationRow& row) {
  txn_.exec(
      "INSERT INTO policy_migrations(workspace, root, path, policy, rate, state, files, files_done,"
      " bytes, bytes_done, problem, created_at, updated_at) "
      "VALUES (?1,?2,?3,?4,?5,?6,0,0,0,0,'',?7,?7)",
      row.workspace, row.root, row.path, row.policy, row.rate, row.state, row.created_at);
  return static_cast<uint64_t>(txn_.last_insert_id());
}

std::optional<MigrationRow> MigrationStore::find(uint64_t id) {
  Query q = txn_.query("SELECT " ASTER_MIGRATION_COLUMNS " FROM policy_migrations WHERE id=?1", id);
  if (!q.next()) return std::nullopt;
  return read_migration(q);
}

std::vector<MigrationRow> MigrationStore::all(size_t limit) {
  std::vector<MigrationRow> rows;
  Query q = txn_.query(
      "SELECT " ASTER_MIGRATION_COLUMNS " FROM policy_migrations ORDER BY id DESC LIMIT ?1", limit);
  while (q.next()) rows.push_back(read_migration(q));
  return rows;
}

std::optional<MigrationRow> MigrationStore::next() {
  Query q = txn_.query("SELECT " ASTER_MIGRATION_COLUMNS
                       " FROM policy_migrations WHERE state IN (0, 1) ORDER BY id LIMIT 1");
  if (!q.next()) return std::nullopt;
  return read_migration(q);
}

void MigrationStore::set_state(uint64_t id, MigrationState state, const std::string& problem,
                               int64_t now) {
  txn_.exec("UPDATE policy_migrations SET state=?2, problem=?3, updated_at=?4 WHERE id=?1", id,
            state, problem, now);
}

void MigrationStore::add_progress(uint64_t id, const Progress& progress, int64_t now) {
  txn_.exec(
      "UPDATE policy_migrations SET files=files+?2, files_done=files_done+?3, bytes=bytes+?4, "
      "bytes_done=bytes_done+?5, updated_at=?6 WHERE id=?1",
      id, progress.files, progress.files_done, progress.bytes, progress.bytes_done, now);
}

bool MigrationStore::names_policy(PolicyId policy) {
  return txn_.query("SELECT 1 FROM policy_migrations WHERE policy=?1 AND state IN (0, 1)", policy)
      .next();
}

bool MigrationStore::add_inode(uint64_t job, Kind kind, InodeNo ino) {
  return txn_.exec(
             "INSERT OR IGNORE INTO policy_migration_inodes(job, kind, ino) VALUES (?1,?2,?3)", job,
             kind, ino) > 0;
}

void MigrationStore::remove_inode(uint64_t job, Kind kind, InodeNo ino) {
  txn_.exec("DELETE FROM policy_migration_inodes WHERE job=?1 AND kind=?2 AND ino=?3", job, kind,
            ino);
}

std::optional<InodeNo> MigrationStore::first_inode(uint64_t job, Kind kind) {
  Query q = txn_.query(
      "SELECT ino FROM policy_migration_inodes WHERE job=?1 AND kind=?2 ORDER BY ino LIMIT 1", job,
      kind);
  if (!q.next()) return std::nullopt;
  return InodeNo(q.uint64(0));
}

void MigrationStore::forget_inodes(uint64_t job) {
  txn_.exec("DELETE FROM policy_migration_inodes WHERE job=?1", job);
}

// The jobs first: their files are found by (job, kind, ino) only.
bool MigrationStore::is_moving(InodeNo file) {
  return txn_
      .query(
          "SELECT 1 FROM policy_migrations m CROSS JOIN policy_migration_inodes f "
          "ON f.job=m.id AND f.kind=1 AND f.ino=?1 WHERE m.state IN (0, 1)",
          file)
      .next();
}

uint64_t MigrationStore::bytes_elsewhere(InodeNo file, PolicyId policy) {
  Query q = txn_.query(
      "SELECT coalesce(sum(e.length), 0) FROM extents e JOIN objects o ON o.id=e.object "
      "WHERE e.ino=?1 AND o.policy<>?2",
      file, policy);
  return q.next() ? q.uint64(0) : 0;
}

std::optional<ExtentRow> MigrationStore::first_elsewhere(InodeNo file, PolicyId policy) {
  Query q = txn_.query(
      "SELECT e.offset, e.length, e.object, e.object_offset FROM extents e "
      "JOIN objects o ON o.id=e.object WHERE e.ino=?1 AND o.policy<>?2 ORDER BY e.offset LIMIT 1",
      file, policy);
  if (!q.next()) return std::nullopt;
  return ExtentRow{q.uint64(0), q.uint64(1), q.uint64(2), q.uint64(3)};
}

std::vector<ExtentStore::Reference> MigrationStore::references(uint64_t job, uint64_t object,
                                                               uint64_t begin, uint64_t end) {
  std::vector<ExtentStore::Reference> rows;
  Query q = txn_.query(
      "SELECT e.ino, e.offset, e.length, e.object, e.object_offset FROM extents e "
      "JOIN policy_migration_inodes f ON f.job=?1 AND f.kind=1 AND f.ino=e.ino "
      "WHERE e.object=?2 AND e.object_offset<?4 AND e.object_offset+e.length>?3",
      job, object, begin, end);
  while (q.next()) {
    rows.push_back({InodeNo(q.uint64(0)), {q.uint64(1), q.uint64(2), q.uint64(3), q.uint64(4)}});
  }
  return rows;
}

std::vector<InodeNo> MigrationStore::kept_of(InodeNo ino) {
  std::vector<InodeNo> kept;
  Query q = txn_.query("SELECT ino FROM kept WHERE parent=?1 AND kind IN (0, 1)", ino);
  while (q.next()) kept.push_back(InodeNo(q.uint64(0)));
  return kept;
}

}  // namespace aster::db
