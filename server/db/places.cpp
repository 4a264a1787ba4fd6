#include "server/db/places.h"

namespace aster::db {

std::vector<InodeNo> directories_above(Txn& txn, InodeNo ino) {
  std::vector<InodeNo> above;
  Query q = txn.query(
      "WITH RECURSIVE up(ino) AS (SELECT ?1 UNION SELECT d.parent FROM up "
      "JOIN dirents d INDEXED BY dirents_by_ino ON d.ino=up.ino) SELECT ino FROM up WHERE ino<>?1",
      ino);
  while (q.next()) above.push_back(InodeNo(q.uint64(0)));
  return above;
}

}  // namespace aster::db
