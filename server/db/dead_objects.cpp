#include "server/db/dead_objects.h"

namespace aster::db {

std::vector<DeadObject> dead_objects(Txn& txn, DeadPlace after, DeadPlace up_to, size_t limit) {
  std::vector<DeadObject> rows;
  Query q = txn.query(
      "SELECT id, name, policy, since FROM objects WHERE refs=0 AND state=2 "
      "AND (since, id)>(?1, ?2) AND (since, id)<=(?3, ?4) "
      "AND id NOT IN (SELECT target FROM compose_jobs UNION ALL SELECT object FROM compose_parts) "
      "ORDER BY since, id LIMIT ?5",
      after.since, after.id, up_to.since, up_to.id, limit);
  while (q.next()) {
    rows.push_back({q.uint64(0), q.random_id<ObjectId>(1), PolicyId(q.uint64(2)), q.int64(3)});
  }
  return rows;
}

uint64_t count_dead_objects(Txn& txn, int64_t before) {
  Query q = txn.query("SELECT count(*) FROM objects WHERE refs=0 AND state=2 AND since<?1", before);
  return q.next() ? q.uint64(0) : 0;
}

}  // namespace aster::db
