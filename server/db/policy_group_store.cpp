#include "server/db/policy_group_store.h"

#include "protocol/base/clock.h"

namespace aster::db {
namespace {

Error no_group(uint64_t id) {
  return fail(Errc::not_found, "no policy group with id " + std::to_string(id));
}

std::vector<PolicyRule> rules_of(Txn& txn, uint64_t group) {
  std::vector<PolicyRule> rules;
  Query q = txn.query(
      "SELECT policy, priority, min_size, max_size, enabled FROM policy_rules "
      "WHERE policy_group=?1 ORDER BY priority, id",
      group);
  while (q.next()) {
    rules.push_back(
        {PolicyId(q.uint64(0)), q.uint64(1), q.uint64(2), q.uint64(3), q.int64(4) != 0});
  }
  return rules;
}

std::vector<PolicyGroupRow> all_groups(Txn& txn) {
  std::vector<PolicyGroupRow> groups;
  Query q = txn.query(
      "SELECT id, name, description, enabled, is_default, created_at, updated_at "
      "FROM policy_groups ORDER BY id");
  while (q.next()) {
    PolicyGroupRow row;
    row.id = q.uint64(0);
    row.name = q.text(1);
    row.description = q.text(2);
    row.enabled = q.int64(3) != 0;
    row.is_default = q.int64(4) != 0;
    row.created_at = q.int64(5);
    row.updated_at = q.int64(6);
    groups.push_back(std::move(row));
  }
  for (PolicyGroupRow& row : groups) row.rules = rules_of(txn, row.id);
  return groups;
}

Result<void> check_references(Txn& txn, const PolicyGroupRow& group) {
  if (txn.query("SELECT 1 FROM policy_groups WHERE name=?1 AND id<>?2", group.name, group.id)
          .next()) {
    return fail(Errc::conflict, "the group name is taken: " + group.name);
  }
  for (const PolicyRule& rule : group.rules) {
    if (!txn.query("SELECT 1 FROM policies WHERE id=?1", rule.policy).next()) {
      return fail(Errc::not_found,
                  "no storage policy with id " + std::to_string(rule.policy.value));
    }
  }
  return ok();
}

void write_rules(Txn& txn, const PolicyGroupRow& group) {
  txn.exec("DELETE FROM policy_rules WHERE policy_group=?1", group.id);
  for (const PolicyRule& rule : group.rules) {
    txn.exec(
        "INSERT INTO policy_rules(policy_group, policy, priority, min_size, max_size, enabled) "
        "VALUES (?1,?2,?3,?4,?5,?6)",
        group.id, rule.policy, rule.priority, rule.min_size, rule.max_size, rule.enabled);
  }
  if (group.is_default) {
    txn.exec("UPDATE policy_groups SET is_default=0 WHERE is_default=1 AND id<>?1", group.id);
  }
}

bool has_group(Txn& txn, uint64_t id) {
  return txn.query("SELECT 1 FROM policy_groups WHERE id=?1", id).next();
}

}  // namespace

Task<Result<PolicyGroupRow>> PolicyGroupStore::create(PolicyGroupRow group) {
  group.created_at = group.updated_at = clock_.now_seconds();
  co_return co_await database_.write([&](Txn& txn) -> Result<PolicyGroupRow> {
    ASTER_TRY(check_references(txn, group));
    txn.exec(
        "INSERT INTO policy_groups(name, description, enabled, is_default, created_at, updated_at) "
        "VALUES (?1,?2,?3,?4,?5,?5)",
        group.name, group.description, group.enabled, group.is_default, group.created_at);
    group.id = static_cast<uint64_t>(txn.last_insert_id());
    write_rules(txn, group);
    return group;
  });
}

Task<Result<PolicyGroupRow>> PolicyGroupStore::update(PolicyGroupRow group) {
  group.updated_at = clock_.now_seconds();
  co_return co_await database_.write([&](Txn& txn) -> Result<PolicyGroupRow> {
    if (!has_group(txn, group.id)) return no_group(group.id);
    ASTER_TRY(check_references(txn, group));
    txn.exec(
        "UPDATE policy_groups SET name=?2, description=?3, enabled=?4, is_default=?5, "
        "updated_at=?6 WHERE id=?1",
        group.id, group.name, group.description, group.enabled, group.is_default, group.updated_at);
    write_rules(txn, group);
    return group;
  });
}

Task<Result<void>> PolicyGroupStore::remove(uint64_t id) {
  co_return co_await database_.write([id](Txn& txn) -> Result<void> {
    if (!has_group(txn, id)) return no_group(id);
    const bool used =
        txn.query("SELECT 1 FROM policy_group_users WHERE policy_group=?1", id).next() ||
        txn.query("SELECT 1 FROM policy_group_workspaces WHERE policy_group=?1", id).next();
    if (used) {
      return fail(Errc::precondition_failed,
                  "users or teams have this policy group; assign another one to them first");
    }
    txn.exec("DELETE FROM policy_rules WHERE policy_group=?1", id);
    txn.exec("DELETE FROM policy_groups WHERE id=?1", id);
    return ok();
  });
}

Task<Result<std::vector<PolicyGroupRow>>> PolicyGroupStore::groups() {
  auto body = [](Txn& txn) -> Result<std::vector<PolicyGroupRow>> { return all_groups(txn); };
  co_return co_await executor_.run([&] { return database_.read(body); });
}

Task<Result<PolicyGroupStore::Assignments>> PolicyGroupStore::assignments() {
  auto body = [](Txn& txn) -> Result<Assignments> {
    Assignments all;
    Query users = txn.query("SELECT user, policy_group FROM policy_group_users");
    while (users.next()) all.users[users.uint64(0)] = users.uint64(1);
    Query workspaces = txn.query("SELECT workspace, policy_group FROM policy_group_workspaces");
    while (workspaces.next()) all.workspaces[workspaces.uint64(0)] = workspaces.uint64(1);
    return all;
  };
  co_return co_await executor_.run([&] { return database_.read(body); });
}

Task<Result<void>> PolicyGroupStore::assign_user(uint64_t user, uint64_t group) {
  co_return co_await database_.write([=](Txn& txn) -> Result<void> {
    if (!txn.query("SELECT 1 FROM users WHERE id=?1", user).next()) {
      return fail(Errc::not_found, "no user with id " + std::to_string(user));
    }
    if (group != 0 && !has_group(txn, group)) return no_group(group);
    txn.exec("DELETE FROM policy_group_users WHERE user=?1", user);
    if (group != 0) txn.exec("INSERT INTO policy_group_users VALUES (?1, ?2)", user, group);
    return ok();
  });
}

Task<Result<void>> PolicyGroupStore::assign_workspace(uint64_t workspace, uint64_t group) {
  co_return co_await database_.write([=](Txn& txn) -> Result<void> {
    if (!txn.query("SELECT 1 FROM workspaces WHERE id=?1", workspace).next()) {
      return fail(Errc::not_found, "no workspace with id " + std::to_string(workspace));
    }
    if (group != 0 && !has_group(txn, group)) return no_group(group);
    txn.exec("DELETE FROM policy_group_workspaces WHERE workspace=?1", workspace);
    if (group != 0) {
      txn.exec("INSERT INTO policy_group_workspaces VALUES (?1, ?2)", workspace, group);
    }
    return ok();
  });
}

}  // namespace aster::db
