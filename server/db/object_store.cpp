#include "server/db/object_store.h"

#include <algorithm>

namespace aster::db {
namespace {

/// Blocks in one row of object_checksums: 128 MiB of object, 4 KiB of row.
constexpr uint64_t kChunk = 1024;

ObjectRow read_object(const Query& q) {
  ObjectRow row;
  row.id = q.uint64(0);
  row.name = q.random_id<ObjectId>(1);
  row.workspace = q.uint64(2);
  row.policy = PolicyId(q.uint64(3));
  row.state = static_cast<ObjectState>(q.int64(4));
  row.size = q.uint64(5);
  row.refs = q.uint64(6);
  return row;
}

std::string encode_crcs(const uint32_t* crcs, size_t n) {
  std::string out;
  out.reserve(n * 4);
  for (size_t i = 0; i < n; ++i) {
    for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<char>(crcs[i] >> shift));
  }
  return out;
}

uint32_t decode_crc(std::string_view bytes, size_t index) {
  uint32_t crc = 0;
  for (size_t i = 0; i < 4; ++i) {
    crc |= static_cast<uint32_t>(static_cast<unsigned char>(bytes[index * 4 + i])) << (8 * i);
  }
  return crc;
}

}  // namespace

std::optional<ObjectRow> ObjectStore::find(const ObjectId& name) {
  Query q = txn_.query("SELECT * FROM objects WHERE name=?1", name);
  if (!q.next()) return std::nullopt;
  return read_object(q);
}

std::optional<ObjectRow> ObjectStore::find(uint64_t id) {
  Query q = txn_.query("SELECT * FROM objects WHERE id=?1", id);
  if (!q.next()) return std::nullopt;
  return read_object(q);
}

uint64_t ObjectStore::insert_pending(const ObjectId& name, uint64_t workspace, PolicyId policy,
                                     int64_t now) {
  txn_.exec(
      "INSERT INTO objects(name, workspace, policy, state, size, refs, since) "
      "VALUES (?1,?2,?3,0,0,0,?4)",
      name, workspace, policy, now);
  return static_cast<uint64_t>(txn_.last_insert_id());
}

void ObjectStore::make_live(uint64_t id, uint64_t size, int64_t now) {
  txn_.exec("UPDATE objects SET state=1, size=?2, since=?3 WHERE id=?1", id, size, now);
}

void ObjectStore::add_refs(uint64_t id, int64_t delta, int64_t now) {
  txn_.exec(
      "UPDATE objects SET refs=refs+?2, since=CASE WHEN refs+?2=0 THEN ?3 ELSE since END "
      "WHERE id=?1",
      id, delta, now);
}

void ObjectStore::set_state(uint64_t id, ObjectState state, int64_t now) {
  txn_.exec("UPDATE objects SET state=?2, since=?3 WHERE id=?1", id, state, now);
}

void ObjectStore::erase(uint64_t id) {
  txn_.exec("DELETE FROM object_checksums WHERE object=?1", id);
  txn_.exec("DELETE FROM objects WHERE id=?1", id);
}

std::vector<ObjectRow> ObjectStore::idle(ObjectState state, int64_t before, size_t limit) {
  std::vector<ObjectRow> rows;
  Query q = txn_.query(
      "SELECT * FROM objects WHERE refs=0 AND state=?1 AND since<=?2 "
      "AND id NOT IN (SELECT target FROM compose_jobs UNION ALL SELECT object FROM compose_parts) "
      "ORDER BY since LIMIT ?3",
      state, before, limit);
  while (q.next()) rows.push_back(read_object(q));
  return rows;
}

std::vector<ObjectRow> ObjectStore::mostly_unused(const Window& window) {
  std::vector<ObjectRow> rows;
  Query q = txn_.query(
      "SELECT * FROM objects o WHERE id>?1 AND id<=?2 AND state=1 AND refs>0 AND since<=?3 "
      "AND size<=?4 AND 2*(SELECT SUM(length) FROM extents WHERE object=o.id)<size ORDER BY id",
      window.after, window.up_to, window.before, window.size_max);
  while (q.next()) rows.push_back(read_object(q));
  return rows;
}

uint64_t ObjectStore::last() {
  Query q = txn_.query("SELECT COALESCE(MAX(id), 0) FROM objects");
  return q.next() ? q.uint64(0) : 0;
}

void ObjectStore::put_checksums(uint64_t id, const std::vector<uint32_t>& crcs) {
  txn_.exec("DELETE FROM object_checksums WHERE object=?1", id);
  for (uint64_t at = 0; at < crcs.size(); at += kChunk) {
    const size_t n = std::min<uint64_t>(kChunk, crcs.size() - at);
    const std::string bytes = encode_crcs(crcs.data() + at, n);
    txn_.exec("INSERT INTO object_checksums(object, chunk, crcs) VALUES (?1,?2,?3)", id,
              at / kChunk, Blob{bytes});
  }
}

std::vector<uint32_t> ObjectStore::checksums(uint64_t id, uint64_t first, uint64_t count) {
  std::vector<uint32_t> crcs;
  if (count == 0) return crcs;
  Query q = txn_.query(
      "SELECT chunk, crcs FROM object_checksums WHERE object=?1 AND chunk BETWEEN ?2 AND ?3 "
      "ORDER BY chunk",
      id, first / kChunk, (first + count - 1) / kChunk);
  while (q.next()) {
    const uint64_t start = q.uint64(0) * kChunk;
    const std::string_view bytes = q.view(1);
    const uint64_t end = std::min(start + bytes.size() / 4, first + count);
    for (uint64_t block = std::max(start, first); block < end; ++block) {
      crcs.push_back(decode_crc(bytes, block - start));
    }
  }
  return crcs;
}

}  // namespace aster::db
