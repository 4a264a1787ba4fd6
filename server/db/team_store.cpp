#include "server/db/team_store.h"

#include <algorithm>

#include "protocol/base/clock.h"
#include "server/db/database.h"
#include "server/db/workspace_store.h"

namespace aster::db {
namespace {

TeamRow read_team(const Query& q) {
  TeamRow team;
  team.id = q.uint64(0);
  team.name = q.text(1);
  team.description = q.text(2);
  team.workspace = q.uint64(3);
  team.created_at = q.int64(4);
  team.updated_at = q.int64(5);
  team.archived_at = q.int64(6);
  return team;
}

TeamRole read_role(std::string_view word) {
  return parse_team_role(word).ok() ? *parse_team_role(word) : TeamRole::reader;
}

Result<TeamRow> find_team(Txn& txn, uint64_t id) {
  auto q = txn.query(
      "SELECT id, name, description, workspace, created_at, updated_at, archived_at FROM teams"
      " WHERE id = ?1",
      id);
  if (!q.next()) return fail(Errc::not_found, "no team with id " + std::to_string(id));
  return read_team(q);
}

Result<MemberRow> find_member(Txn& txn, uint64_t team, UserId user) {
  auto q = txn.query(
      "SELECT m.user, u.name, m.role, m.added_at FROM team_members m JOIN users u ON u.id = m.user"
      " WHERE m.team = ?1 AND m.user = ?2",
      team, user);
  if (!q.next()) return fail(Errc::not_found, "the user is not in this team");
  return MemberRow{UserId(q.uint64(0)), q.text(1), read_role(q.view(2)), q.int64(3)};
}

Result<void> check_owned(Txn& txn, uint64_t team) {
  auto q = txn.query("SELECT 1 FROM team_members WHERE team = ?1 AND role = 'owner' LIMIT 1", team);
  if (q.next()) return ok();
  return fail(Errc::precondition_failed, "this is the last owner: make somebody else owner first");
}

Result<TeamRow> insert_team(Txn& txn, TeamRow team, UserId owner) {
  if (txn.query("SELECT 1 FROM teams WHERE name = ?1", team.name).next()) {
    return fail(Errc::conflict, "the team name is taken: " + team.name);
  }
  if (!txn.query("SELECT 1 FROM users WHERE id = ?1", owner).next()) {
    return fail(Errc::not_found, "no user with id " + std::to_string(owner.value));
  }
  txn.exec(
      "INSERT INTO teams(name, description, workspace, created_at, updated_at, archived_at)"
      " VALUES(?1, ?2, ?3, ?4, ?4, 0)",
      team.name, team.description, team.workspace, team.created_at);
  team.id = static_cast<uint64_t>(txn.last_insert_id());
  txn.exec("INSERT INTO team_members(team, user, role, added_at) VALUES(?1, ?2, 'owner', ?3)",
           team.id, owner, team.created_at);
  return team;
}

Result<TeamRow> change_team(Txn& txn, uint64_t id, const TeamChange& change, int64_t now) {
  ASTER_TRY(TeamRow team, find_team(txn, id));
  if (change.description) team.description = *change.description;
  if (change.archived) team.archived_at = *change.archived ? now : 0;
  team.updated_at = now;
  txn.exec("UPDATE teams SET description = ?2, archived_at = ?3, updated_at = ?4 WHERE id = ?1", id,
           team.description, team.archived_at, now);
  return team;
}

Result<MemberRow> change_member(Txn& txn, uint64_t team, UserId user, TeamRole role, int64_t now) {
  ASTER_TRY(const TeamRow there, find_team(txn, team));
  if (!txn.query("SELECT 1 FROM users WHERE id = ?1", user).next()) {
    return fail(Errc::not_found, "no user with id " + std::to_string(user.value));
  }
  txn.exec(
      "INSERT INTO team_members(team, user, role, added_at) VALUES(?1, ?2, ?3, ?4)"
      " ON CONFLICT(team, user) DO UPDATE SET role = excluded.role",
      there.id, user, to_string(role), now);
  ASTER_TRY(check_owned(txn, team));
  return find_member(txn, team, user);
}

}  // namespace

Result<TeamRow> remove_archived_team(Txn& txn, uint64_t id) {
  ASTER_TRY(TeamRow team, find_team(txn, id));
  if (team.archived_at == 0) {
    return fail(Errc::precondition_failed,
                "team " + team.name + " is not archived: archive it first ('aster team remove')");
  }
  txn.exec("DELETE FROM webdav_accounts WHERE workspace = ?1", "team:" + team.name);
  txn.exec("DELETE FROM team_members WHERE team = ?1", id);
  txn.exec("DELETE FROM teams WHERE id = ?1", id);
  return team;
}

std::string_view to_string(TeamRole role) noexcept {
  switch (role) {
    case TeamRole::reader: return "reader";
    case TeamRole::member: return "member";
    case TeamRole::manager: return "manager";
    case TeamRole::owner: return "owner";
  }
  return "reader";
}

Result<TeamRole> parse_team_role(std::string_view word) {
  for (const TeamRole role :
       {TeamRole::reader, TeamRole::member, TeamRole::manager, TeamRole::owner}) {
    if (word == to_string(role)) return role;
  }
  if (word == "admin") return TeamRole::manager;  // its name in the reference's API
  return fail(Errc::bad_request, "role is \"reader\", \"member\", \"manager\" or \"owner\"");
}

Task<Result<TeamRow>> TeamStore::create(TeamRow team, UserId owner) {
  team.created_at = team.updated_at = clock_.now_seconds();
  co_return co_await database_.write([&](Txn& txn) { return insert_team(txn, team, owner); });
}

Task<Result<TeamRow>> TeamStore::find(uint64_t id) {
  co_return co_await executor_.run(
      [&] { return database_.read([&](Txn& txn) { return find_team(txn, id); }); });
}

Task<Result<TeamRow>> TeamStore::find_by_name(std::string name) {
  auto body = [&](Txn& txn) -> Result<TeamRow> {
    auto q = txn.query(
        "SELECT id, name, description, workspace, created_at, updated_at, archived_at FROM teams"
        " WHERE name = ?1",
        name);
    if (!q.next()) return fail(Errc::not_found, "no team " + name);
    return read_team(q);
  };
  co_return co_await executor_.run([&] { return database_.read(body); });
}

Task<Result<RowPage<TeamRow>>> TeamStore::list(PageRequest page) {
  auto body = [&](Txn& txn) -> Result<RowPage<TeamRow>> {
    RowPage<TeamRow> found;
    auto count = txn.query("SELECT count(*) FROM teams");
    if (count.next()) found.total = count.uint64(0);
    auto q = txn.query(
        "SELECT id, name, description, workspace, created_at, updated_at, archived_at FROM teams"
        " ORDER BY name LIMIT ?1 OFFSET ?2",
        page.limit, page.offset);
    while (q.next()) found.items.push_back(read_team(q));
    return found;
  };
  co_return co_await executor_.run([&] { return database_.read(body); });
}

Task<Result<TeamRow>> TeamStore::update(uint64_t id, TeamChange change) {
  const int64_t now = clock_.now_seconds();
  co_return co_await database_.write([&](Txn& txn) { return change_team(txn, id, change, now); });
}

Task<Result<std::vector<Membership>>> TeamStore::of_user(UserId user) {
  auto body = [&](Txn& txn) -> Result<std::vector<Membership>> {
    std::vector<Membership> found;
    auto q = txn.query(
        "SELECT t.id, t.name, t.description, t.workspace, t.created_at, t.updated_at,"
        " t.archived_at, m.role FROM team_members m JOIN teams t ON t.id = m.team"
        " WHERE m.user = ?1 AND t.archived_at = 0 ORDER BY t.name",
        user);
    while (q.next()) found.push_back({read_team(q), read_role(q.view(7))});
    return found;
  };
  co_return co_await executor_.run([&] { return database_.read(body); });
}

Task<Result<Membership>> TeamStore::membership(UserId user, std::string team) {
  auto body = [&](Txn& txn) -> Result<Membership> {
    auto q = txn.query(
        "SELECT t.id, t.name, t.description, t.workspace, t.created_at, t.updated_at,"
        " t.archived_at, m.role FROM teams t JOIN team_members m ON m.team = t.id"
        " WHERE t.name = ?1 AND m.user = ?2 AND t.archived_at = 0",
        team, user);
    if (!q.next()) return fail(Errc::not_found, "no team " + team);
    return Membership{read_team(q), read_role(q.view(7))};
  };
  co_return co_await executor_.run([&] { return database_.read(body); });
}

Task<Result<Membership>> TeamStore::membership_in(UserId user, uint64_t workspace) {
  auto body = [&](Txn& txn) -> Result<Membership> {
    auto q = txn.query(
        "SELECT t.id, t.name, t.description, t.workspace, t.created_at, t.updated_at,"
        " t.archived_at, m.role FROM teams t JOIN team_members m ON m.team = t.id"
        " WHERE t.workspace = ?1 AND m.user = ?2 AND t.archived_at = 0",
        workspace, user);
    if (!q.next()) return fail(Errc::not_found, "no such team");
    return Membership{read_team(q), read_role(q.view(7))};
  };
  co_return co_await executor_.run([&] { return database_.read(body); });
}

Task<Result<std::vector<MemberRow>>> TeamStore::members(uint64_t team) {
  auto body = [&](Txn& txn) -> Result<std::vector<MemberRow>> {
    std::vector<MemberRow> found;
    auto q = txn.query(
        "SELECT m.user, u.name, m.role, m.added_at FROM team_members m"
        " JOIN users u ON u.id = m.user WHERE m.team = ?1 ORDER BY u.name",
        team);
    while (q.next()) {
      found.push_back({UserId(q.uint64(0)), q.text(1), read_role(q.view(2)), q.int64(3)});
    }
    return found;
  };
  co_return co_await executor_.run([&] { return database_.read(body); });
}

Task<Result<MemberRow>> TeamStore::put_member(uint64_t team, UserId user, TeamRole role) {
  const int64_t now = clock_.now_seconds();
  co_return co_await database_.write(
      [&](Txn& txn) { return change_member(txn, team, user, role, now); });
}

Task<Result<MemberRow>> TeamStore::remove_member(uint64_t team, UserId user) {
  co_return co_await database_.write([&](Txn& txn) -> Result<MemberRow> {
    ASTER_TRY(MemberRow member, find_member(txn, team, user));
    txn.exec("DELETE FROM team_members WHERE team = ?1 AND user = ?2", team, user);
    ASTER_TRY(check_owned(txn, team));
    return member;
  });
}

Task<Result<AccountStore::Storage>> TeamStore::storage(uint64_t workspace) {
  auto body = [&](Txn& txn) -> Result<AccountStore::Storage> {
    WorkspaceStore store(txn);
    const std::optional<Usage> usage = store.usage(workspace);
    const int64_t used = usage ? std::max<int64_t>(0, usage->bytes) : 0;
    return AccountStore::Storage{static_cast<uint64_t>(used), store.quota(workspace)};
  };
  co_return co_await executor_.run([&] { return database_.read(body); });
}

Task<Result<void>> TeamStore::set_quota(uint64_t workspace, uint64_t bytes) {
  co_return co_await database_.write([&](Txn& txn) -> Result<void> {
    WorkspaceStore(txn).set_quota(workspace, bytes);
    return ok();
  });
}

}  // namespace aster::db
