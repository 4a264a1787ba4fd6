#include "server/primary/teams.h"

namespace aster::primary {

Teams::Teams(Options options, db::TeamStore& store, db::AccountStore& users, Accounts& accounts,
             NamespaceService& namespaces, Executor& executor, const Clock& clock)
    : options_(options),
      store_(store),
      users_(users),
      accounts_(accounts),
      namespaces_(namespaces),
      clock_(clock),
      making_(executor) {}

Task<Result<db::TeamRow>> Teams::create(NewTeam team) {
  ASTER_CO_TRY(check_user_name(team.name));
  ASTER_CO_TRY(const db::UserRow owner, co_await users_.user(team.owner));
  // One at a time, so that a name that is taken leaves no tree behind.
  const auto lock = co_await making_.acquire();
  const auto taken = co_await store_.find_by_name(team.name);
  if (taken.ok()) co_return fail(Errc::conflict, "the team name is taken: " + team.name);
  if (!taken.failed_with(Errc::not_found)) co_return taken.error();
  db::TeamRow row{.name = team.name, .description = std::move(team.description)};
  ASTER_CO_TRY(row.workspace, co_await namespaces_.create_workspace("team:" + team.name));
  ASTER_CO_TRY(row, co_await store_.create(std::move(row), owner.id));
  forget_all();
  co_return row;
}

Task<Result<db::TeamRow>> Teams::update(uint64_t id, db::TeamChange change) {
  const bool archives = change.archived.value_or(false);
  ASTER_CO_TRY(const db::TeamRow row, co_await store_.update(id, std::move(change)));
  forget_all();
  if (archives) {
    ASTER_CO_TRY(const auto members, co_await store_.members(id));
    std::vector<UserId> users;
    for (const db::MemberRow& member : members) users.push_back(member.user);
    ASTER_CO_TRY(co_await end_sessions(row.workspace, std::move(users)));
  }
  co_return row;
}

Task<Result<db::MemberRow>> Teams::put_member(uint64_t team, UserId user, db::TeamRole role) {
  ASTER_CO_TRY(const db::MemberRow row, co_await store_.put_member(team, user, role));
  forget_all();
  co_return row;
}

Task<Result<db::MemberRow>> Teams::remove_member(uint64_t team, UserId user) {
  ASTER_CO_TRY(const db::TeamRow row, co_await store_.find(team));
  ASTER_CO_TRY(const db::MemberRow member, co_await store_.remove_member(team, user));
  forget_all();
  std::vector<UserId> users{user};
  ASTER_CO_TRY(co_await end_sessions(row.workspace, std::move(users)));
  co_return member;
}

Task<Result<void>> Teams::end_sessions(uint64_t workspace, std::vector<UserId> users) {
  for (const UserId user : users) {
    ASTER_CO_TRY(co_await namespaces_.end_sessions(user, workspace));
  }
  co_return ok();
}

void Teams::forget_all() {
  {
    auto cache = cache_.lock();
    ++cache->changes;
    cache->by_name.clear();
    cache->by_workspace.clear();
  }
  accounts_.note_revocation();  // proofs of WebDAV accounts rest on memberships
}

void Teams::keep(UserId user, const db::Membership& membership, uint64_t seen) {
  auto cache = cache_.lock();
  if (cache->changes != seen) return;
  if (cache->by_workspace.size() >= options_.cached) {
    cache->by_name.clear();
    cache->by_workspace.clear();
  }
  const Known known{membership, clock_.steady() + options_.recheck};
  cache->by_name.insert_or_assign({user.value, membership.team.name}, known);
  cache->by_workspace.insert_or_assign({user.value, membership.team.workspace}, known);
}

Task<Result<db::Membership>> Teams::membership(UserId user, std::string team) {
  uint64_t seen = 0;
  {
    const auto cache = cache_.lock();
    const auto found = cache->by_name.find({user.value, team});
    if (found != cache->by_name.end() && clock_.steady() < found->second.recheck_at) {
      co_return found->second.membership;
    }
    seen = cache->changes;
  }
  ASTER_CO_TRY(db::Membership membership, co_await store_.membership(user, std::move(team)));
  keep(user, membership, seen);
  co_return membership;
}

Task<Result<db::Membership>> Teams::membership_in(UserId user, uint64_t workspace) {
  uint64_t seen = 0;
  {
    const auto cache = cache_.lock();
    const auto found = cache->by_workspace.find({user.value, workspace});
    if (found != cache->by_workspace.end() && clock_.steady() < found->second.recheck_at) {
      co_return found->second.membership;
    }
    seen = cache->changes;
  }
  ASTER_CO_TRY(db::Membership membership, co_await store_.membership_in(user, workspace));
  keep(user, membership, seen);
  co_return membership;
}

}  // namespace aster::primary
