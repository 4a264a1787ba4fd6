#include "server/db/session_store.h"

namespace aster::db {

void SessionStore::insert(const SessionRow& row) {
  txn_.exec("INSERT INTO sessions(id, user, workspace, client, opened) VALUES (?1,?2,?3,?4,?5)",
            row.id, row.user, row.workspace, row.client, row.opened);
}

bool SessionStore::exists(SessionId id) {
  return txn_.query("SELECT 1 FROM sessions WHERE id=?1", id).next();
}

std::vector<SessionRow> SessionStore::all() {
  std::vector<SessionRow> rows;
  Query q = txn_.query("SELECT id, user, workspace, client, opened, writes FROM sessions");
  while (q.next()) {
    rows.push_back({SessionId(q.uint64(0)), UserId(q.uint64(1)), q.uint64(2), q.text(3), q.int64(4),
                    q.int64(5) != 0});
  }
  return rows;
}

void SessionStore::set_writes(SessionId id) {
  txn_.exec("UPDATE sessions SET writes=1 WHERE id=?1", id);
}

void SessionStore::erase(SessionId id) {
  txn_.exec("DELETE FROM holds WHERE session=?1", id);
  txn_.exec("DELETE FROM sessions WHERE id=?1", id);
}

void SessionStore::hold(InodeNo ino, SessionId session) {
  txn_.exec(
      "INSERT OR IGNORE INTO holds(ino, session) "
      "SELECT ?1, ?2 WHERE EXISTS (SELECT 1 FROM sessions WHERE id=?2)",
      ino, session);
}

void SessionStore::release(InodeNo ino, SessionId session) {
  txn_.exec("DELETE FROM holds WHERE ino=?1 AND session=?2", ino, session);
}

void SessionStore::add_orphan(InodeNo ino, int64_t now) {
  txn_.exec("INSERT OR REPLACE INTO orphans(ino, since) VALUES (?1,?2)", ino, now);
}

void SessionStore::remove_orphan(InodeNo ino) {
  txn_.exec("DELETE FROM holds WHERE ino=?1", ino);
  txn_.exec("DELETE FROM orphans WHERE ino=?1", ino);
}

std::vector<InodeNo> SessionStore::collectable_orphans(int64_t before, size_t limit) {
  std::vector<InodeNo> out;
  Query q = txn_.query(
      "SELECT ino FROM orphans WHERE since<=?1 "
      "AND NOT EXISTS (SELECT 1 FROM holds WHERE holds.ino=orphans.ino) ORDER BY ino LIMIT ?2",
      before, limit);
  while (q.next()) out.push_back(InodeNo(q.uint64(0)));
  return out;
}

}  // namespace aster::db
