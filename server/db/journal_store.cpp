#include "server/db/journal_store.h"

namespace aster::db {
namespace {

/// Absent names are NULL, so that an empty column is never taken for a name.
std::optional<Blob> name_or_null(const std::string& name) {
  if (name.empty()) return std::nullopt;
  return Blob{name};
}

}  // namespace

Guid JournalStore::epoch() {
  Query q = txn_.query("SELECT epoch FROM identity");
  return q.next() ? q.random_id<Guid>(0) : Guid();
}

void JournalStore::renew_epoch() {
  txn_.exec("UPDATE identity SET epoch=?1", Guid::random());
}

uint64_t JournalStore::append(const JournalRow& row) {
  txn_.exec(
      "INSERT INTO journal(event, at, workspace, session, op, inode, parent, name, new_parent, "
      "new_name, invalidation) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)",
      Guid::random(), row.at, row.workspace, row.session, row.op, row.inode, row.parent,
      name_or_null(row.name), row.new_parent, name_or_null(row.new_name), row.invalidation);
  return static_cast<uint64_t>(txn_.last_insert_id());
}

uint64_t JournalStore::newest() {
  Query q = txn_.query("SELECT coalesce(max(position), 0) FROM journal");
  return q.next() ? q.uint64(0) : 0;
}

uint64_t JournalStore::oldest() {
  Query q = txn_.query("SELECT coalesce(min(position), 0) FROM journal");
  return q.next() ? q.uint64(0) : 0;
}

std::vector<JournalStore::Event> JournalStore::events(uint64_t after, uint64_t upto,
                                                      uint64_t workspace, SessionId session) {
  std::vector<Event> out;
  Query q = txn_.query(
      "SELECT position, invalidation FROM journal WHERE position>?1 AND position<=?2 "
      "AND workspace=?3 AND session<>?4 ORDER BY position",
      after, upto, workspace, session);
  while (q.next()) out.push_back({q.uint64(0), q.text(1)});
  return out;
}

int64_t JournalStore::prune(int64_t before, size_t limit) {
  return txn_.exec(
      "DELETE FROM journal WHERE position IN (SELECT position FROM journal "
      "ORDER BY position LIMIT ?2) AND at<?1 AND position<(SELECT max(position) FROM journal)",
      before, limit);
}

std::optional<JournalStore::StoredAnswer> JournalStore::answer(const OperationId& id) {
  Query q = txn_.query("SELECT workspace, op, answer FROM operation_results WHERE id=?1", id);
  if (!q.next()) return std::nullopt;
  return StoredAnswer{q.uint64(0), q.text(1), q.text(2)};
}

void JournalStore::put_answer(const OperationId& id, int64_t now, uint64_t workspace,
                              std::string_view op, std::string_view answer) {
  txn_.exec("INSERT INTO operation_results(id, at, workspace, op, answer) VALUES (?1,?2,?3,?4,?5)",
            id, now, workspace, op, answer);
}

int64_t JournalStore::prune_answers(int64_t before, size_t limit) {
  return txn_.exec(
      "DELETE FROM operation_results WHERE position IN (SELECT position FROM operation_results "
      "ORDER BY position LIMIT ?2) AND at<?1",
      before, limit);
}

}  // namespace aster::db
