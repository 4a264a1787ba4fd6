#include "server/db/extent_store.h"

#include <algorithm>

namespace aster::db {
namespace {

ExtentRow read_extent(const Query& q, int at = 0) {
  return {q.uint64(at), q.uint64(at + 1), q.uint64(at + 2), q.uint64(at + 3)};
}

}  // namespace

std::vector<ExtentRow> ExtentStore::overlapping(InodeNo ino, uint64_t begin, uint64_t end,
                                                size_t limit) {
  std::vector<ExtentRow> rows;
  // SQL integers are signed; no file reaches beyond INT64_MAX.
  end = std::min<uint64_t>(end, INT64_MAX);
  if (begin >= end) return rows;
  if (std::optional<ExtentRow> first = before(ino, begin); first && first->end() > begin) {
    rows.push_back(*first);
  }
  Query q = txn_.query(
      "SELECT offset, length, object, object_offset FROM extents "
      "WHERE ino=?1 AND offset>=?2 AND offset<?3 ORDER BY offset LIMIT ?4",
      ino, begin, end, limit);
  while (rows.size() < limit && q.next()) rows.push_back(read_extent(q));
  return rows;
}

std::optional<ExtentRow> ExtentStore::before(InodeNo ino, uint64_t offset) {
  Query q = txn_.query(
      "SELECT offset, length, object, object_offset FROM extents "
      "WHERE ino=?1 AND offset<?2 ORDER BY offset DESC LIMIT 1",
      ino, offset);
  if (!q.next()) return std::nullopt;
  return read_extent(q);
}

bool ExtentStore::has_several(InodeNo ino) {
  Query q = txn_.query("SELECT 1 FROM extents WHERE ino=?1 LIMIT 2", ino);
  return q.next() && q.next();
}

void ExtentStore::insert(InodeNo ino, const ExtentRow& row) {
  txn_.exec(
      "INSERT INTO extents(ino, offset, length, object, object_offset) VALUES (?1,?2,?3,?4,?5)",
      ino, row.offset, row.length, row.object, row.object_offset);
}

void ExtentStore::erase(InodeNo ino, uint64_t offset) {
  txn_.exec("DELETE FROM extents WHERE ino=?1 AND offset=?2", ino, offset);
}

void ExtentStore::resize(InodeNo ino, uint64_t offset, uint64_t length) {
  txn_.exec("UPDATE extents SET length=?3 WHERE ino=?1 AND offset=?2", ino, offset, length);
}

std::vector<ExtentStore::Reference> ExtentStore::references(uint64_t object) {
  std::vector<Reference> rows;
  Query q = txn_.query(
      "SELECT ino, offset, length, object, object_offset FROM extents WHERE object=?1 "
      "ORDER BY ino, offset",
      object);
  while (q.next()) rows.push_back({InodeNo(q.uint64(0)), read_extent(q, 1)});
  return rows;
}

void ExtentStore::retarget(InodeNo ino, uint64_t offset, uint64_t object, uint64_t object_offset) {
  txn_.exec("UPDATE extents SET object=?3, object_offset=?4 WHERE ino=?1 AND offset=?2", ino,
            offset, object, object_offset);
}

}  // namespace aster::db
