#include "server/db/policy_store.h"

#include "protocol/base/clock.h"
#include "server/db/database.h"
#include "server/db/migration_store.h"
#include "server/db/tree_quota_store.h"

namespace aster::db {
namespace {

#define ASTER_POLICY_COLUMNS                                                              \
  "id, name, driver, base_path, node, target_key, max_file_size, chunk_size, is_default," \
  " allowed_types, options, created_at, updated_at, endpoint, bucket, access_key, secret_key"

PolicyRow read_policy(const Query& q) {
  PolicyRow policy;
  policy.id = PolicyId(q.uint64(0));
  policy.name = q.text(1);
  policy.driver = q.text(2);
  policy.base_path = q.text(3);
  if (!q.is_null(4)) policy.node = NodeId(q.uint64(4));
  policy.target_key = q.text(5);
  policy.max_file_size = q.uint64(6);
  policy.chunk_size = q.uint64(7);
  policy.is_default = q.int64(8) != 0;
  policy.allowed_types = q.text(9);
  policy.options = q.text(10);
  policy.created_at = q.int64(11);
  policy.updated_at = q.int64(12);
  policy.s3 = {q.text(13), q.text(14), q.text(15), q.text(16)};
  return policy;
}

Result<PolicyRow> find_policy(Txn& txn, PolicyId id) {
  auto q = txn.query("SELECT " ASTER_POLICY_COLUMNS " FROM policies WHERE id = ?1", id);
  if (!q.next()) {
    return fail(Errc::not_found, "no storage policy with id " + std::to_string(id.value));
  }
  return read_policy(q);
}

Result<void> check_references(Txn& txn, const PolicyRow& policy) {
  if (txn.query("SELECT 1 FROM policies WHERE name = ?1 AND id <> ?2", policy.name, policy.id)
          .next()) {
    return fail(Errc::conflict, "the policy name is taken: " + policy.name);
  }
  if (policy.node && !txn.query("SELECT 1 FROM remote_nodes WHERE id = ?1", *policy.node).next()) {
    return fail(Errc::not_found, "no remote node with id " + std::to_string(policy.node->value));
  }
  return ok();
}

Result<PolicyRow> insert_policy(Txn& txn, PolicyRow policy) {
  ASTER_TRY(check_references(txn, policy));
  if (!txn.query("SELECT 1 FROM policies WHERE is_default = 1").next()) policy.is_default = true;
  if (policy.is_default) txn.exec("UPDATE policies SET is_default = 0 WHERE is_default = 1");
  txn.exec(
      "INSERT INTO policies(name, driver, base_path, node, target_key, max_file_size, chunk_size,"
      " is_default, allowed_types, options, created_at, updated_at, endpoint, bucket, access_key,"
      " secret_key) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, ?12, ?13, ?14, ?15)",
      policy.name, policy.driver, policy.base_path, policy.node, policy.target_key,
      policy.max_file_size, policy.chunk_size, policy.is_default, policy.allowed_types,
      policy.options, policy.created_at, policy.s3.endpoint, policy.s3.bucket, policy.s3.access_key,
      policy.s3.secret_key);
  policy.id = PolicyId(static_cast<uint64_t>(txn.last_insert_id()));
  return policy;
}

bool holds_objects(Txn& txn, PolicyId id) {
  return txn.query("SELECT 1 FROM objects WHERE policy = ?1 LIMIT 1", id).next();
}

/// Objects are looked for where their policy says now, so that with any in it this stays as it is.
/// A service may get another address.
bool is_same_place(const PolicyRow& a, const PolicyRow& b) {
  return a.node == b.node && a.base_path == b.base_path && a.target_key == b.target_key &&
         a.s3.bucket == b.s3.bucket;
}

Result<void> check_place(Txn& txn, const PolicyRow& before, const PolicyRow& after) {
  if (is_same_place(before, after) || !holds_objects(txn, before.id)) return ok();
  return fail(
      Errc::precondition_failed,
      "data is stored under policy " + before.name +
          ", whose node, target, bucket and base path stay as they are for that; make another "
          "policy and move the data there (aster policy migrate)");
}

Result<PolicyRow> change_policy(Txn& txn, PolicyRow policy, int64_t now) {
  ASTER_TRY(const PolicyRow before, find_policy(txn, policy.id));
  ASTER_TRY(check_references(txn, policy));
  ASTER_TRY(check_place(txn, before, policy));
  if (before.is_default && !policy.is_default) {
    return fail(Errc::precondition_failed, "make another policy the default instead");
  }
  if (policy.is_default) {
    txn.exec("UPDATE policies SET is_default = 0 WHERE is_default = 1 AND id <> ?1", policy.id);
  }
  txn.exec(
      "UPDATE policies SET name = ?2, base_path = ?3, node = ?4, target_key = ?5,"
      " max_file_size = ?6, chunk_size = ?7, is_default = ?8, allowed_types = ?9, options = ?10,"
      " updated_at = ?11, endpoint = ?12, bucket = ?13, access_key = ?14, secret_key = ?15"
      " WHERE id = ?1",
      policy.id, policy.name, policy.base_path, policy.node, policy.target_key,
      policy.max_file_size, policy.chunk_size, policy.is_default, policy.allowed_types,
      policy.options, now, policy.s3.endpoint, policy.s3.bucket, policy.s3.access_key,
      policy.s3.secret_key);
  policy.driver = before.driver;
  policy.created_at = before.created_at;
  policy.updated_at = now;
  return policy;
}

/// A directory that has chosen the policy, "ann: /films"; nullopt for none.
std::optional<std::string> chooser_of(Txn& txn, PolicyId id) {
  auto q = txn.query(
      "SELECT s.ino, w.name FROM directory_settings s JOIN inodes i ON i.ino = s.ino"
      " JOIN workspaces w ON w.id = i.workspace"
      " WHERE s.name = 'user.aster.policy' AND s.value = ?1 LIMIT 1",
      std::to_string(id.value));
  if (!q.next()) return std::nullopt;
  return q.text(1) + ": " + TreeQuotaStore(txn).path_of(InodeNo(q.uint64(0)));
}

/// Nothing may send data to a policy that is removed.
Result<void> check_unused(Txn& txn, const PolicyRow& policy) {
  if (txn.query("SELECT 1 FROM policy_rules WHERE policy = ?1", policy.id).next()) {
    return fail(Errc::precondition_failed, "a policy group has a rule for policy " + policy.name);
  }
  if (const auto chooser = chooser_of(txn, policy.id)) {
    return fail(Errc::precondition_failed, "a directory has chosen policy " + policy.name + " (" +
                                               *chooser + "); its user.aster.policy goes first");
  }
  if (MigrationStore(txn).names_policy(policy.id)) {
    return fail(Errc::precondition_failed, "a migration moves data to policy " + policy.name);
  }
  return ok();
}

Result<void> delete_policy(Txn& txn, PolicyId id) {
  ASTER_TRY(const PolicyRow policy, find_policy(txn, id));
  const bool others = txn.query("SELECT 1 FROM policies WHERE id <> ?1 LIMIT 1", id).next();
  if (policy.is_default && others) {
    return fail(Errc::precondition_failed,
                "policy " + policy.name + " is the default; make another one the default first");
  }
  if (holds_objects(txn, id)) {
    return fail(Errc::precondition_failed, "data is stored under policy " + policy.name);
  }
  ASTER_TRY(check_unused(txn, policy));
  txn.exec("DELETE FROM policies WHERE id = ?1", id);
  return ok();
}

std::optional<std::string> find_setting(Txn& txn, const std::string& key) {
  auto q = txn.query("SELECT value FROM settings WHERE key = ?1", key);
  if (!q.next()) return std::nullopt;
  return q.text(0);
}

void write_setting(Txn& txn, const std::string& key, const std::string& value) {
  txn.exec(
      "INSERT INTO settings(key, value) VALUES(?1, ?2)"
      " ON CONFLICT(key) DO UPDATE SET value = excluded.value",
      key, value);
}

}  // namespace

PolicyStore::PolicyStore(Database& database, Executor& executor, const Clock& clock)
    : database_(database), executor_(executor), clock_(clock) {}

Task<Result<PolicyRow>> PolicyStore::create_policy(PolicyRow policy) {
  policy.created_at = policy.updated_at = clock_.now_seconds();
  co_return co_await database_.write([&](Txn& txn) { return insert_policy(txn, policy); });
}

Task<Result<std::vector<PolicyRow>>> PolicyStore::policies() {
  auto body = [](Txn& txn) -> Result<std::vector<PolicyRow>> {
    std::vector<PolicyRow> rows;
    auto q = txn.query("SELECT " ASTER_POLICY_COLUMNS " FROM policies ORDER BY id");
    while (q.next()) rows.push_back(read_policy(q));
    return rows;
  };
  co_return co_await executor_.run([&] { return database_.read(body); });
}

Task<Result<PolicyRow>> PolicyStore::update_policy(PolicyRow policy) {
  const int64_t now = clock_.now_seconds();
  co_return co_await database_.write([&](Txn& txn) { return change_policy(txn, policy, now); });
}

Task<Result<void>> PolicyStore::remove_policy(PolicyId id) {
  co_return co_await database_.write([&](Txn& txn) { return delete_policy(txn, id); });
}

Task<Result<std::optional<std::string>>> PolicyStore::setting(std::string key) {
  auto body = [&](Txn& txn) -> Result<std::optional<std::string>> {
    return find_setting(txn, key);
  };
  co_return co_await executor_.run([&] { return database_.read(body); });
}

Task<Result<void>> PolicyStore::set_setting(std::string key, std::string value) {
  co_return co_await database_.write([&](Txn& txn) -> Result<void> {
    write_setting(txn, key, value);
    return ok();
  });
}

Task<Result<std::string>> PolicyStore::setting_or_store(std::string key, std::string value) {
  co_return co_await database_.write([&](Txn& txn) -> Result<std::string> {
    if (auto stored = find_setting(txn, key)) return std::move(*stored);
    write_setting(txn, key, value);
    return value;
  });
}

}  // namespace aster::db
