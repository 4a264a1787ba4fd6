#include "server/db/compose_store.h"

namespace aster::db {

void ComposeStore::enqueue(InodeNo ino, int64_t due) {
  txn_.exec("INSERT OR REPLACE INTO compose_queue(ino, due) VALUES (?1,?2)", ino, due);
}

void ComposeStore::dequeue(InodeNo ino) {
  txn_.exec("DELETE FROM compose_queue WHERE ino=?1", ino);
}

std::vector<InodeNo> ComposeStore::due(int64_t now, size_t limit) {
  std::vector<InodeNo> out;
  Query q =
      txn_.query("SELECT ino FROM compose_queue WHERE due<=?1 ORDER BY due LIMIT ?2", now, limit);
  while (q.next()) out.push_back(InodeNo(q.uint64(0)));
  return out;
}

std::optional<int64_t> ComposeStore::next_due() {
  Query q = txn_.query("SELECT due FROM compose_queue ORDER BY due LIMIT 1");
  if (!q.next()) return std::nullopt;
  return q.int64(0);
}

void ComposeStore::insert(ComposeJob& job) {
  txn_.exec("INSERT INTO compose_jobs(ino, target, started) VALUES (?1,?2,?3)", job.ino, job.target,
            job.started);
  job.id = static_cast<uint64_t>(txn_.last_insert_id());
  for (size_t i = 0; i < job.parts.size(); ++i) {
    txn_.exec("INSERT INTO compose_parts(job, seq, object) VALUES (?1,?2,?3)", job.id, i,
              job.parts[i]);
  }
}

bool ComposeStore::has_job(InodeNo ino) {
  return txn_.query("SELECT 1 FROM compose_jobs WHERE ino=?1", ino).next();
}

std::optional<ComposeJob> ComposeStore::find(uint64_t id) {
  Query q = txn_.query("SELECT ino, target, started FROM compose_jobs WHERE id=?1", id);
  if (!q.next()) return std::nullopt;
  ComposeJob job{id, InodeNo(q.uint64(0)), q.uint64(1), q.int64(2), {}};
  Query parts = txn_.query("SELECT object FROM compose_parts WHERE job=?1 ORDER BY seq", id);
  while (parts.next()) job.parts.push_back(parts.uint64(0));
  return job;
}

std::vector<uint64_t> ComposeStore::jobs() {
  std::vector<uint64_t> ids;
  Query q = txn_.query("SELECT id FROM compose_jobs ORDER BY id");
  while (q.next()) ids.push_back(q.uint64(0));
  return ids;
}

void ComposeStore::erase(uint64_t id) {
  txn_.exec("DELETE FROM compose_parts WHERE job=?1", id);
  txn_.exec("DELETE FROM compose_jobs WHERE id=?1", id);
}

}  // namespace aster::db
