#include "server/db/node_store.h"

#include "protocol/base/clock.h"
#include "server/db/database.h"

namespace aster::db {
namespace {

#define ASTER_NODE_COLUMNS                                                         \
  "id, name, storage_namespace, access_key, secret_key, base_url, enabled,"        \
  " transport_mode, enrolled, last_error, last_checked_at, capabilities, dialect," \
  " desired_revision, created_at, updated_at"
#define ASTER_ENROLLMENT_COLUMNS                                                       \
  "id, node, token_hash, ack_hash, created_at, expires_at, redeemed_at, completed_at," \
  " invalidated_at"

NodeRow read_node(const Query& q) {
  NodeRow node;
  node.id = NodeId(q.uint64(0));
  node.name = q.text(1);
  node.storage_namespace = q.text(2);
  node.access_key = q.text(3);
  node.secret_key = q.text(4);
  node.base_url = q.text(5);
  node.enabled = q.int64(6) != 0;
  node.transport_mode = q.text(7);
  node.enrolled = q.int64(8) != 0;
  node.last_error = q.text(9);
  node.last_checked_at = q.int64(10);
  node.capabilities = q.text(11);
  node.dialect = q.text(12);
  node.desired_revision = q.int64(13);
  node.created_at = q.int64(14);
  node.updated_at = q.int64(15);
  return node;
}

EnrollmentRow read_enrollment(const Query& q) {
  EnrollmentRow row;
  row.id = q.uint64(0);
  row.node = NodeId(q.uint64(1));
  row.token_hash = q.text(2);
  row.ack_hash = q.text(3);
  row.created_at = q.int64(4);
  row.expires_at = q.int64(5);
  row.redeemed_at = q.int64(6);
  row.completed_at = q.int64(7);
  row.invalidated_at = q.int64(8);
  return row;
}

Result<NodeRow> find_node(Txn& txn, NodeId id) {
  auto q = txn.query("SELECT " ASTER_NODE_COLUMNS " FROM remote_nodes WHERE id = ?1", id);
  if (!q.next()) return fail(Errc::not_found, "no remote node with id " + std::to_string(id.value));
  return read_node(q);
}

Result<void> check_unique(Txn& txn, const NodeRow& node) {
  if (txn.query("SELECT 1 FROM remote_nodes WHERE name = ?1 AND id <> ?2", node.name, node.id)
          .next()) {
    return fail(Errc::conflict, "the node name is taken: " + node.name);
  }
  if (txn.query("SELECT 1 FROM remote_nodes WHERE storage_namespace = ?1 AND id <> ?2",
                node.storage_namespace, node.id)
          .next()) {
    return fail(Errc::conflict, "the namespace is taken: " + node.storage_namespace);
  }
  return ok();
}

Result<NodeRow> insert_node(Txn& txn, NodeRow node) {
  ASTER_TRY(check_unique(txn, node));
  txn.exec(
      "INSERT INTO remote_nodes(name, storage_namespace, access_key, secret_key, base_url,"
      " enabled, transport_mode, enrolled, last_error, last_checked_at, capabilities, dialect,"
      " desired_revision, created_at, updated_at)"
      " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, '', 0, '', '', ?8, ?9, ?9)",
      node.name, node.storage_namespace, node.access_key, node.secret_key, node.base_url,
      node.enabled, node.transport_mode, node.desired_revision, node.created_at);
  node.id = NodeId(static_cast<uint64_t>(txn.last_insert_id()));
  return node;
}

Result<NodeRow> change_node(Txn& txn, NodeId id, const NodeChange& change, int64_t now) {
  ASTER_TRY(NodeRow node, find_node(txn, id));
  if (change.name) node.name = *change.name;
  if (change.base_url) node.base_url = *change.base_url;
  if (change.enabled) node.enabled = *change.enabled;
  if (change.transport_mode) node.transport_mode = *change.transport_mode;
  ++node.desired_revision;
  node.updated_at = now;
  ASTER_TRY(check_unique(txn, node));
  txn.exec(
      "UPDATE remote_nodes SET name = ?2, base_url = ?3, enabled = ?4, transport_mode = ?5,"
      " desired_revision = ?6, updated_at = ?7 WHERE id = ?1",
      id, node.name, node.base_url, node.enabled, node.transport_mode, node.desired_revision, now);
  return node;
}

Result<void> delete_node(Txn& txn, NodeId id) {
  ASTER_TRY(const NodeRow node, find_node(txn, id));
  auto q = txn.query("SELECT name FROM policies WHERE node = ?1 LIMIT 1", id);
  if (q.next()) {
    return fail(Errc::precondition_failed,
                "node " + node.name + " is used by the storage policy " + q.text(0));
  }
  txn.exec("DELETE FROM node_targets WHERE node = ?1", id);
  txn.exec("DELETE FROM enrollments WHERE node = ?1", id);
  txn.exec("DELETE FROM remote_nodes WHERE id = ?1", id);
  return ok();
}

Result<EnrollmentRow> insert_enrollment(Txn& txn, EnrollmentRow row) {
  ASTER_TRY(const NodeRow node, find_node(txn, row.node));
  if (node.enrolled) {
    return fail(Errc::precondition_failed, "node " + node.name + " is enrolled already");
  }
  txn.exec(
      "UPDATE enrollments SET invalidated_at = ?2"
      " WHERE node = ?1 AND completed_at = 0 AND invalidated_at = 0",
      row.node, row.created_at);
  txn.exec(
      "INSERT INTO enrollments(node, token_hash, ack_hash, created_at, expires_at, redeemed_at,"
      " completed_at, invalidated_at) VALUES(?1, ?2, '', ?3, ?4, 0, 0, 0)",
      row.node, row.token_hash, row.created_at, row.expires_at);
  row.id = static_cast<uint64_t>(txn.last_insert_id());
  return row;
}

std::optional<EnrollmentRow> enrollment_by_hash(Txn& txn, const std::string& hash) {
  auto q =
      txn.query("SELECT " ASTER_ENROLLMENT_COLUMNS
                " FROM enrollments WHERE token_hash = ?1 OR (ack_hash = ?1 AND ack_hash <> '')",
                hash);
  if (!q.next()) return std::nullopt;
  return read_enrollment(q);
}

Result<EnrollmentRow> decide_enrollment(Txn& txn, const std::string& hash,
                                        const NodeStore::Decide& decide) {
  auto row = enrollment_by_hash(txn, hash);
  ASTER_TRY(decide(row));
  if (!row) return fail(Errc::not_found, "no such enrolment");
  txn.exec(
      "UPDATE enrollments SET ack_hash = ?2, redeemed_at = ?3, completed_at = ?4 WHERE id = ?1",
      row->id, row->ack_hash, row->redeemed_at, row->completed_at);
  if (row->completed_at != 0) {
    txn.exec("UPDATE remote_nodes SET enrolled = 1 WHERE id = ?1", row->node);
  }
  return *row;
}

Result<NodeRow> write_probe(Txn& txn, NodeId id, const NodeProbe& probe, int64_t now) {
  ASTER_TRY(NodeRow node, find_node(txn, id));
  node.last_error = probe.last_error;
  node.last_checked_at = now;
  if (probe.capabilities) node.capabilities = *probe.capabilities;
  txn.exec(
      "UPDATE remote_nodes SET last_error = ?2, last_checked_at = ?3, capabilities = ?4"
      " WHERE id = ?1",
      id, node.last_error, node.last_checked_at, node.capabilities);
  return node;
}

}  // namespace

NodeStore::NodeStore(Database& database, Executor& executor, const Clock& clock)
    : database_(database), executor_(executor), clock_(clock) {}

Task<Result<NodeRow>> NodeStore::create_node(NodeRow node) {
  node.created_at = node.updated_at = clock_.now_seconds();
  co_return co_await database_.write([&](Txn& txn) { return insert_node(txn, node); });
}

Task<Result<std::vector<NodeRow>>> NodeStore::nodes() {
  auto body = [](Txn& txn) -> Result<std::vector<NodeRow>> {
    std::vector<NodeRow> rows;
    auto q = txn.query("SELECT " ASTER_NODE_COLUMNS " FROM remote_nodes ORDER BY id");
    while (q.next()) rows.push_back(read_node(q));
    return rows;
  };
  co_return co_await executor_.run([&] { return database_.read(body); });
}

Task<Result<NodeRow>> NodeStore::update_node(NodeId id, NodeChange change) {
  const int64_t now = clock_.now_seconds();
  co_return co_await database_.write([&](Txn& txn) { return change_node(txn, id, change, now); });
}

Task<Result<NodeRow>> NodeStore::set_dialect(NodeId id, std::string dialect) {
  co_return co_await database_.write([&](Txn& txn) -> Result<NodeRow> {
    txn.exec("UPDATE remote_nodes SET dialect = ?2 WHERE id = ?1", id, dialect);
    return find_node(txn, id);
  });
}

Task<Result<NodeRow>> NodeStore::record_probe(NodeId id, NodeProbe probe) {
  const int64_t now = clock_.now_seconds();
  co_return co_await database_.write([&](Txn& txn) { return write_probe(txn, id, probe, now); });
}

Task<Result<void>> NodeStore::remove_node(NodeId id) {
  co_return co_await database_.write([&](Txn& txn) { return delete_node(txn, id); });
}

Task<Result<EnrollmentRow>> NodeStore::create_enrollment(EnrollmentRow enrollment) {
  enrollment.created_at = clock_.now_seconds();
  co_return co_await database_.write([&](Txn& txn) { return insert_enrollment(txn, enrollment); });
}

Task<Result<std::optional<EnrollmentRow>>> NodeStore::latest_enrollment(NodeId node) {
  auto body = [&](Txn& txn) -> Result<std::optional<EnrollmentRow>> {
    auto q = txn.query("SELECT " ASTER_ENROLLMENT_COLUMNS
                       " FROM enrollments WHERE node = ?1 ORDER BY id DESC LIMIT 1",
                       node);
    std::optional<EnrollmentRow> row;
    if (q.next()) row = read_enrollment(q);
    return row;
  };
  co_return co_await executor_.run([&] { return database_.read(body); });
}

Task<Result<EnrollmentRow>> NodeStore::change_enrollment(std::string hash, Decide decide) {
  co_return co_await database_.write(
      [&](Txn& txn) { return decide_enrollment(txn, hash, decide); });
}

Task<Result<void>> NodeStore::store_targets(NodeId node, std::vector<TargetRow> targets) {
  const int64_t now = clock_.now_seconds();
  co_return co_await database_.write([&](Txn& txn) -> Result<void> {
    txn.exec("DELETE FROM node_targets WHERE node = ?1", node);
    int64_t position = 0;
    for (const TargetRow& target : targets) {
      txn.exec(
          "INSERT INTO node_targets(node, position, key, info, seen_at)"
          " VALUES(?1, ?2, ?3, ?4, ?5)",
          node, position++, target.key, target.info, now);
    }
    return ok();
  });
}

Task<Result<std::vector<TargetRow>>> NodeStore::targets(NodeId node) {
  auto body = [&](Txn& txn) -> Result<std::vector<TargetRow>> {
    std::vector<TargetRow> rows;
    auto q = txn.query(
        "SELECT key, info, seen_at FROM node_targets WHERE node = ?1 ORDER BY position", node);
    while (q.next()) rows.push_back({q.text(0), q.text(1), q.int64(2)});
    return rows;
  };
  co_return co_await executor_.run([&] { return database_.read(body); });
}

Task<Result<std::vector<NodeUse>>> NodeStore::uses(NodeId node) {
  auto body = [&](Txn& txn) -> Result<std::vector<NodeUse>> {
    std::vector<NodeUse> uses;
    auto q = txn.query(
        "SELECT name, target_key, EXISTS(SELECT 1 FROM objects WHERE policy = p.id)"
        " FROM policies p WHERE node = ?1 ORDER BY id",
        node);
    while (q.next()) uses.push_back({q.text(0), q.text(1), q.int64(2) != 0});
    return uses;
  };
  co_return co_await executor_.run([&] { return database_.read(body); });
}

}  // namespace aster::db
