#include "server/db/account_store.h"

#include <algorithm>

#include "protocol/base/clock.h"
#include "server/db/database.h"
#include "server/db/token_row.h"
#include "server/db/workspace_store.h"

namespace aster::db {
namespace {

#define ASTER_USER_FILTER                                               \
  " WHERE instr(lower(name), lower(?1)) > 0 AND (?2 = '' OR role = ?2)" \
  " AND (?3 = '' OR status = ?3)"

constexpr int64_t kAuditRowsKept = 10'000;
/// Of each of these groups anybody, or any user, can make as many as the throttle lets: they do not
/// push out the others.
constexpr int64_t kLoginRowsKept = 2'000;
constexpr std::string_view kAuditGroup =
    "CASE WHEN action IN ('login.refused', 'login.throttled') THEN 1"
    " WHEN action = 'login.accepted' THEN 2 ELSE 0 END";
constexpr int kAuditGroups = 3;
constexpr int64_t kPruneEvery = 64;  // rows: the old ones are looked for all over the table

UserRow read_user(const Query& q, int first = 0) {
  UserRow user;
  user.id = UserId(q.uint64(first));
  user.name = q.text(first + 1);
  user.password_hash = q.text(first + 2);
  user.role = q.view(first + 3) == "admin" ? UserRole::admin : UserRole::user;
  user.status = q.view(first + 4) == "active" ? UserStatus::active : UserStatus::disabled;
  user.workspace = q.uint64(first + 5);
  user.created_at = q.int64(first + 6);
  user.updated_at = q.int64(first + 7);
  return user;
}

Result<UserRow> find_user(Txn& txn, UserId id) {
  auto q = txn.query(
      "SELECT id, name, password_hash, role, status, workspace, created_at, updated_at"
      " FROM users WHERE id = ?1",
      id);
  if (!q.next()) return fail(Errc::not_found, "no user with id " + std::to_string(id.value));
  return read_user(q);
}

Result<UserRow> insert_user(Txn& txn, UserRow user, bool only_if_first) {
  if (only_if_first && txn.query("SELECT 1 FROM users LIMIT 1").next()) {
    return fail(Errc::precondition_failed, "there is a user already");
  }
  if (txn.query("SELECT 1 FROM users WHERE name = ?1", user.name).next()) {
    return fail(Errc::conflict, "the user name is taken: " + user.name);
  }
  // One door asks for either by name: an account would go on answering for the new user.
  if (txn.query("SELECT 1 FROM webdav_accounts WHERE name = ?1", user.name).next()) {
    return fail(Errc::conflict, "the user name is taken by a WebDAV account: " + user.name);
  }
  txn.exec(
      "INSERT INTO users(name, password_hash, role, status, workspace, created_at, updated_at)"
      " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
      user.name, user.password_hash, to_string(user.role), to_string(user.status), user.workspace,
      user.created_at, user.updated_at);
  user.id = UserId(static_cast<uint64_t>(txn.last_insert_id()));
  return user;
}

bool is_active_admin(const UserRow& user) {
  return user.role == UserRole::admin && user.status == UserStatus::active;
}

bool another_active_admin(Txn& txn, UserId but) {
  return txn
      .query("SELECT 1 FROM users WHERE role = 'admin' AND status = 'active' AND id <> ?1 LIMIT 1",
             but)
      .next();
}

Result<UserRow> change_user(Txn& txn, UserId id, const UserChange& change, int64_t now) {
  ASTER_TRY(UserRow user, find_user(txn, id));
  const bool was_admin = is_active_admin(user);
  if (change.password_hash) user.password_hash = *change.password_hash;
  if (change.role) user.role = *change.role;
  if (change.status) user.status = *change.status;
  if (change.workspace) user.workspace = *change.workspace;
  user.updated_at = now;
  if (was_admin && !is_active_admin(user) && !another_active_admin(txn, id)) {
    return fail(Errc::precondition_failed, "this is the last active administrator");
  }
  txn.exec(
      "UPDATE users SET password_hash = ?2, role = ?3, status = ?4, workspace = ?5,"
      " updated_at = ?6 WHERE id = ?1",
      id, user.password_hash, to_string(user.role), to_string(user.status), user.workspace, now);
  if (change.password_hash || user.status == UserStatus::disabled) {
    txn.exec("UPDATE tokens SET revoked_at = ?2 WHERE user = ?1 AND revoked_at = 0", id, now);
  }
  return user;
}

Result<void> check_owns_alone(Txn& txn, const UserRow& user) {
  auto q = txn.query(
      "SELECT t.name FROM team_members m JOIN teams t ON t.id = m.team"
      " WHERE m.user = ?1 AND m.role = 'owner' AND NOT EXISTS(SELECT 1 FROM team_members o"
      " WHERE o.team = m.team AND o.role = 'owner' AND o.user <> m.user) LIMIT 1",
      user.id);
  if (!q.next()) return ok();
  return fail(Errc::precondition_failed, user.name + " is the last owner of team " + q.text(0) +
                                             ": make somebody else owner first");
}

bool has_files(Txn& txn, const UserRow& user) {
  return txn
      .query(
          "SELECT 1 FROM workspaces w JOIN dirents d ON d.parent = w.root WHERE w.id = ?1 LIMIT 1",
          user.workspace)
      .next();
}

}  // namespace

Result<UserRow> remove_user(Txn& txn, UserId id, bool with_files) {
  ASTER_TRY(UserRow user, find_user(txn, id));
  if (is_active_admin(user) && !another_active_admin(txn, id)) {
    return fail(Errc::precondition_failed, "this is the last active administrator");
  }
  ASTER_TRY(check_owns_alone(txn, user));
  if (!with_files && has_files(txn, user)) {
    return fail(Errc::precondition_failed,
                user.name + " has files: move them away, or say that they go with the account");
  }
  for (const char* table : {"tokens", "webdav_accounts", "team_members", "policy_group_users"}) {
    txn.exec("DELETE FROM " + std::string(table) + " WHERE user = ?1", id);
  }
  txn.exec("UPDATE admin_audit SET actor_name = ?2 WHERE actor = ?1", id, user.name);
  txn.exec("DELETE FROM users WHERE id = ?1", id);
  return user;
}

std::string_view to_string(UserRole role) noexcept {
  return role == UserRole::admin ? "admin" : "user";
}

std::string_view to_string(UserStatus status) noexcept {
  return status == UserStatus::active ? "active" : "disabled";
}

Result<UserRole> parse_user_role(std::string_view word) {
  if (word == "admin") return UserRole::admin;
  if (word == "user") return UserRole::user;
  return fail(Errc::bad_request, "role is \"admin\" or \"user\"");
}

Result<UserStatus> parse_user_status(std::string_view word) {
  if (word == "active") return UserStatus::active;
  if (word == "disabled") return UserStatus::disabled;
  return fail(Errc::bad_request, "status is \"active\" or \"disabled\"");
}

AccountStore::AccountStore(Database& database, Executor& executor, const Clock& clock)
    : database_(database), executor_(executor), clock_(clock) {}

Task<Result<UserRow>> AccountStore::create_user(UserRow user, bool only_if_first) {
  user.created_at = user.updated_at = clock_.now_seconds();
  co_return co_await database_.write(
      [&](Txn& txn) { return insert_user(txn, user, only_if_first); });
}

Task<Result<UserRow>> AccountStore::user(UserId id) {
  co_return co_await executor_.run(
      [&] { return database_.read([&](Txn& txn) { return find_user(txn, id); }); });
}

Task<Result<UserRow>> AccountStore::user_by_name(std::string name) {
  auto body = [&](Txn& txn) -> Result<UserRow> {
    auto q = txn.query(
        "SELECT id, name, password_hash, role, status, workspace, created_at, updated_at"
        " FROM users WHERE name = ?1",
        name);
    if (!q.next()) return fail(Errc::not_found, "no user " + name);
    return read_user(q);
  };
  co_return co_await executor_.run([&] { return database_.read(body); });
}

Task<Result<RowPage<UserRow>>> AccountStore::list_users(PageRequest page, UserFilter filter) {
  const std::string_view role = filter.role ? to_string(*filter.role) : "";
  const std::string_view status = filter.status ? to_string(*filter.status) : "";
  auto body = [&](Txn& txn) -> Result<RowPage<UserRow>> {
    RowPage<UserRow> found;
    auto count =
        txn.query("SELECT count(*) FROM users" ASTER_USER_FILTER, filter.keyword, role, status);
    if (count.next()) found.total = count.uint64(0);
    auto q = txn.query(
        "SELECT id, name, password_hash, role, status, workspace, created_at, updated_at"
        " FROM users" ASTER_USER_FILTER " ORDER BY id LIMIT ?4 OFFSET ?5",
        filter.keyword, role, status, page.limit, page.offset);
    while (q.next()) found.items.push_back(read_user(q));
    return found;
  };
  co_return co_await executor_.run([&] { return database_.read(body); });
}

Task<Result<UserRow>> AccountStore::update_user(UserId id, UserChange change) {
  const int64_t now = clock_.now_seconds();
  co_return co_await database_.write([&](Txn& txn) { return change_user(txn, id, change, now); });
}

Task<Result<TokenRow>> AccountStore::create_token(TokenRow token) {
  token.created_at = clock_.now_seconds();
  co_return co_await database_.write([&](Txn& txn) -> Result<TokenRow> {
    txn.exec(
        "INSERT INTO tokens(hash, user, name, scopes, created_at, expires_at, last_used_at,"
        " revoked_at) VALUES(?1, ?2, ?3, ?4, ?5, ?6, 0, 0)",
        token.hash, token.user, token.name, token.scopes, token.created_at, token.expires_at);
    token.id = static_cast<uint64_t>(txn.last_insert_id());
    return token;
  });
}

Task<Result<TokenOwner>> AccountStore::token(std::string hash) {
  auto body = [&](Txn& txn) -> Result<TokenOwner> {
    auto q = txn.query("SELECT " ASTER_TOKEN_COLUMNS
                       ", u.id, u.name, u.password_hash, u.role, u.status,"
                       " u.workspace, u.created_at, u.updated_at"
                       " FROM tokens t JOIN users u ON u.id = t.user WHERE t.hash = ?1",
                       hash);
    if (!q.next()) return fail(Errc::not_found, "no such token");
    return TokenOwner{read_token(q), read_user(q, kTokenColumns)};
  };
  co_return co_await executor_.run([&] { return database_.read(body); });
}

Task<Result<void>> AccountStore::revoke_token(std::string hash) {
  const int64_t now = clock_.now_seconds();
  co_return co_await database_.write([&](Txn& txn) -> Result<void> {
    txn.exec("UPDATE tokens SET revoked_at = ?2 WHERE hash = ?1 AND revoked_at = 0", hash, now);
    return ok();
  });
}

Task<Result<void>> AccountStore::revoke_tokens(UserId user) {
  const int64_t now = clock_.now_seconds();
  co_return co_await database_.write([&](Txn& txn) -> Result<void> {
    txn.exec("UPDATE tokens SET revoked_at = ?2 WHERE user = ?1 AND revoked_at = 0", user, now);
    return ok();
  });
}

Task<Result<AccountStore::Storage>> AccountStore::storage(UserId id) {
  auto body = [&](Txn& txn) -> Result<Storage> {
    auto q = txn.query(
        "SELECT w.bytes, w.quota FROM users u JOIN workspaces w ON w.id = u.workspace"
        " WHERE u.id = ?1",
        id);
    if (!q.next()) return Storage();
    return Storage{static_cast<uint64_t>(std::max<int64_t>(0, q.int64(0))), q.uint64(1)};
  };
  co_return co_await executor_.run([&] { return database_.read(body); });
}

Task<Result<void>> AccountStore::set_quota(UserId id, uint64_t bytes) {
  co_return co_await database_.write([&](Txn& txn) -> Result<void> {
    auto q = txn.query("SELECT workspace FROM users WHERE id = ?1", id);
    if (!q.next()) return fail(Errc::not_found, "no user with id " + std::to_string(id.value));
    WorkspaceStore(txn).set_quota(q.uint64(0), bytes);
    return ok();
  });
}

Task<Result<void>> AccountStore::touch_token(uint64_t id) {
  const int64_t now = clock_.now_seconds();
  co_return co_await database_.write([&](Txn& txn) -> Result<void> {
    txn.exec("UPDATE tokens SET last_used_at = ?2 WHERE id = ?1", id, now);
    return ok();
  });
}

Task<Result<void>> AccountStore::purge_tokens(int64_t keep) {
  const int64_t before = clock_.now_seconds() - keep;
  co_return co_await database_.write([&](Txn& txn) -> Result<void> {
    txn.exec(
        "DELETE FROM tokens WHERE (expires_at <> 0 AND expires_at < ?1) OR (revoked_at <> 0 AND "
        "revoked_at < ?1)",
        before);
    return ok();
  });
}

Task<Result<void>> AccountStore::audit(UserId actor, std::string action, std::string subject,
                                       std::string detail) {
  const int64_t now = clock_.now_seconds();
  co_return co_await database_.write([&](Txn& txn) -> Result<void> {
    txn.exec("INSERT INTO admin_audit(at, actor, action, subject, detail) VALUES(?1,?2,?3,?4,?5)",
             now, actor, action, subject, detail);
    if (txn.last_insert_id() % kPruneEvery != 0) return ok();
    const std::string in_group = "WHERE " + std::string(kAuditGroup) + " = ?1";
    const std::string prune = "DELETE FROM admin_audit " + in_group +
                              " AND id <= (SELECT id FROM admin_audit " + in_group +
                              " ORDER BY id DESC LIMIT 1 OFFSET ?2)";
    for (int group = 0; group < kAuditGroups; ++group) {
      txn.exec(prune, group, group == 0 ? kAuditRowsKept : kLoginRowsKept);
    }
    return ok();
  });
}

Task<Result<RowPage<AuditRow>>> AccountStore::list_audit(PageRequest page) {
  auto body = [&](Txn& txn) -> Result<RowPage<AuditRow>> {
    RowPage<AuditRow> found;
    auto count = txn.query("SELECT count(*) FROM admin_audit");
    if (count.next()) found.total = count.uint64(0);
    auto q = txn.query(
        "SELECT a.at, a.actor, coalesce(u.name, a.actor_name), a.action, a.subject, a.detail"
        " FROM admin_audit a LEFT JOIN users u ON u.id = a.actor"
        " ORDER BY a.id DESC LIMIT ?1 OFFSET ?2",
        page.limit, page.offset);
    while (q.next()) {
      found.items.push_back(
          {q.int64(0), UserId(q.uint64(1)), q.text(2), q.text(3), q.text(4), q.text(5)});
    }
    return found;
  };
  co_return co_await executor_.run([&] { return database_.read(body); });
}

}  // namespace aster::db
