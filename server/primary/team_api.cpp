#include "server/primary/team_api.h"

#include <boost/json.hpp>

#include "protocol/json_reader.h"
#include "server/primary/api_json.h"

namespace aster::primary {
namespace {

namespace json = boost::json;
using db::TeamRole;

constexpr size_t kDescriptionMax = 1024;

/// What a request about a team or a member says.
struct WantedTeam {
  std::optional<std::string> name;
  std::optional<std::string> description;
  std::optional<uint64_t> quota;
  std::optional<uint64_t> group;  ///< of policies; 0 = none
  std::optional<uint64_t> user;
  std::optional<std::string> user_name;
  std::optional<std::string> role;
};

Result<WantedTeam> read_wanted(std::string_view body, std::string_view user,
                               std::string_view name) {
  ASTER_TRY(const json::object object, parse_json_object(body, kMaxApiBody));
  JsonReader reader(object);
  WantedTeam wanted;
  reader.optional("name", wanted.name);
  reader.optional("description", wanted.description);
  reader.optional("storage_quota", wanted.quota);
  reader.optional("policy_group_id", wanted.group);
  reader.optional(user, wanted.user);
  reader.optional(name, wanted.user_name);
  reader.optional("role", wanted.role);
  ASTER_TRY(wanted, reader.finish(std::move(wanted)));
  if (wanted.quota.value_or(0) > INT64_MAX) {
    return fail(Errc::bad_request, "storage_quota is at most 9223372036854775807 bytes");
  }
  if (wanted.description && wanted.description->size() > kDescriptionMax) {
    return fail(Errc::bad_request, "a description has at most 1024 bytes");
  }
  return wanted;
}

/// For the audit log.
std::string changes_of(const WantedTeam& wanted) {
  std::string out;
  const auto add = [&](const std::string& text) { out += (out.empty() ? "" : " ") + text; };
  if (wanted.description) add("description");
  if (wanted.quota) add("quota=" + std::to_string(*wanted.quota));
  if (wanted.group) add("group=" + std::to_string(*wanted.group));
  return out;
}

json::object member_object(const db::MemberRow& member) {
  return {{"user_id", member.user.value},
          {"username", member.user_name},
          {"role", to_string(member.role)},
          {"added_at", rfc3339(member.added_at)}};
}

/// Managers deal with readers and members, owners with everybody.
Result<void> may_deal_with(TeamRole own, TeamRole other) {
  if (own == TeamRole::owner) return ok();
  if (own == TeamRole::manager && other <= TeamRole::member) return ok();
  return fail(Errc::forbidden, "only owners of the team deal with managers and owners");
}

}  // namespace

void TeamApi::add_routes(http::Router& router) {
  const auto add = [&](const char* method, const std::string& path, Access access, auto handler) {
    router.add(method, path, gate_.wrap(access, [this, handler](ApiCall call) {
      return (this->*handler)(std::move(call));
    }));
  };
  const std::string admin = "/api/v1/admin/teams";
  add("GET", admin, Access::admin, &TeamApi::list_all);
  add("POST", admin, Access::admin, &TeamApi::create);
  add("PATCH", admin + "/{}", Access::admin, &TeamApi::update);
  add("DELETE", admin + "/{}", Access::admin, &TeamApi::archive);
  add("POST", admin + "/{}/restore", Access::admin, &TeamApi::restore);
  add("POST", admin + "/{}/purge", Access::admin, &TeamApi::purge);
  add("GET", "/api/v1/admin/team-purges", Access::admin, &TeamApi::list_purges);
  const std::string own = "/api/v1/teams";
  add("GET", own, Access::user, &TeamApi::list_mine);
  // A team has a quota of its own: whoever could make teams would have as much room as they like.
  add("POST", own, Access::admin, &TeamApi::create);
  add("PATCH", own + "/{}", Access::user, &TeamApi::update);
  add("DELETE", own + "/{}", Access::user, &TeamApi::archive);
  add("POST", own + "/{}/restore", Access::user, &TeamApi::restore);
  for (const std::string& teams : {admin, own}) {
    const Access access = teams == admin ? Access::admin : Access::user;
    add("GET", teams + "/{}", access, &TeamApi::show);
    add("GET", teams + "/{}/members", access, &TeamApi::list_members);
    add("POST", teams + "/{}/members", access, &TeamApi::add_member);
    add("PATCH", teams + "/{}/members/{}", access, &TeamApi::set_role);
    add("DELETE", teams + "/{}/members/{}", access, &TeamApi::remove_member);
  }
}

Task<ApiResult<db::Membership>> TeamApi::team_of(const ApiCall& call, TeamRole least) {
  ASTER_CO_TRY(const uint64_t id, path_number(call.arg(0)));
  auto found = co_await store_.find(id);
  if (!found.ok()) co_return std::move(found).error();
  db::Membership membership{std::move(*found), TeamRole::owner};
  if (call.who.role == db::UserRole::admin) co_return membership;
  auto own = co_await teams_.membership_in(call.who.user, membership.team.workspace);
  if (own.failed_with(Errc::not_found)) {
    co_return ApiError(ApiCode::not_found, "no team of yours with id " + std::to_string(id));
  }
  if (!own.ok()) co_return std::move(own).error();
  if (own->role < least) {
    co_return ApiError(ApiCode::forbidden,
                       "this needs a " + std::string(to_string(least)) + " of the team");
  }
  co_return std::move(*own);
}

Task<ApiResult<db::Membership>> TeamApi::owned_team(const ApiCall& call) {
  ASTER_CO_TRY(const uint64_t id, path_number(call.arg(0)));
  ASTER_CO_TRY(db::TeamRow team, co_await store_.find(id));
  db::Membership membership{std::move(team), TeamRole::owner};
  if (call.who.role == db::UserRole::admin) co_return membership;
  ASTER_CO_TRY(const auto members, co_await store_.members(id));
  for (const db::MemberRow& member : members) {
    if (member.user != call.who.user) continue;
    if (member.role == TeamRole::owner) co_return membership;
    co_return ApiError(ApiCode::forbidden, "this needs an owner of the team");
  }
  co_return ApiError(ApiCode::not_found, "no team of yours with id " + std::to_string(id));
}

TeamApi::Reply TeamApi::team_reply(int status, db::TeamRow team, std::optional<TeamRole> role) {
  ASTER_CO_TRY(const auto storage, co_await store_.storage(team.workspace));
  const uint64_t group = groups_.group_of_workspace(team.workspace);
  json::object out{{"id", team.id},
                   {"name", team.name},
                   {"description", team.description},
                   {"workspace", "team:" + team.name},
                   {"storage_used", storage.used},
                   {"storage_quota", storage.quota},
                   {"policy_group_id", group == 0 ? json::value() : json::value(group)},
                   {"is_archived", team.archived_at != 0},
                   {"created_at", rfc3339(team.created_at)},
                   {"updated_at", rfc3339(team.updated_at)}};
  if (role) out["role"] = to_string(*role);
  co_return ApiReply{status, json::serialize(out)};
}

Task<Result<void>> TeamApi::set_limits(uint64_t workspace, std::optional<uint64_t> quota,
                                       std::optional<uint64_t> group) {
  if (quota) ASTER_CO_TRY(co_await store_.set_quota(workspace, *quota));
  if (group) ASTER_CO_TRY(co_await groups_.assign_workspace(workspace, *group));
  co_return ok();
}

Task<Result<void>> TeamApi::audit(const ApiCall& call, std::string action, std::string team,
                                  std::string detail) {
  co_return co_await accounts_.audit(call.who.user, std::move(action), std::move(team),
                                     std::move(detail));
}

Task<Result<db::UserRow>> TeamApi::user_of(std::optional<uint64_t> id,
                                           std::optional<std::string> name) {
  if (id) co_return co_await accounts_.user(UserId(*id));
  if (name) co_return co_await accounts_.user_by_name(std::move(*name));
  co_return fail(Errc::bad_request, "a user is needed, by id or by name");
}

TeamApi::Reply TeamApi::list_all(ApiCall call) {
  ASTER_CO_TRY(const db::PageRequest page, page_of_query(call.request.raw_query()));
  ASTER_CO_TRY(const auto found, co_await store_.list(page));
  std::vector<std::string> items;
  for (const db::TeamRow& team : found.items) {
    ASTER_CO_TRY(ApiReply one, co_await team_reply(200, team, std::nullopt));
    items.push_back(std::move(one.data));
  }
  co_return ApiReply{200, list_json(items, found.total, page)};
}

TeamApi::Reply TeamApi::list_mine(ApiCall call) {
  ASTER_CO_TRY(const auto found, co_await store_.of_user(call.who.user));
  std::vector<std::string> items;
  for (const db::Membership& one : found) {
    ASTER_CO_TRY(ApiReply reply, co_await team_reply(200, one.team, one.role));
    items.push_back(std::move(reply.data));
  }
  co_return ApiReply{200, array_json(items)};
}

TeamApi::Reply TeamApi::create(ApiCall call) {
  ASTER_CO_TRY(WantedTeam wanted, read_wanted(call.body, "admin_user_id", "admin_identifier"));
  if (!wanted.name) co_return ApiError(ApiCode::bad_request, "name is needed");
  if (wanted.group.value_or(0) != 0) ASTER_CO_TRY(groups_.find(*wanted.group));
  ASTER_CO_TRY(const db::UserRow owner, co_await user_of(wanted.user, wanted.user_name));
  Teams::NewTeam made{*wanted.name, wanted.description.value_or(std::string()), owner.id};
  ASTER_CO_TRY(const db::TeamRow team, co_await teams_.create(std::move(made)));
  ASTER_CO_TRY(co_await set_limits(team.workspace, wanted.quota, wanted.group));
  ASTER_CO_TRY(co_await audit(call, "team.create", team.name, "owner=" + owner.name));
  auto reply = co_await team_reply(201, team, std::nullopt);
  co_return reply;
}

TeamApi::Reply TeamApi::update(ApiCall call) {
  ASTER_CO_TRY(const db::Membership at, co_await team_of(call, TeamRole::owner));
  ASTER_CO_TRY(const WantedTeam wanted, read_wanted(call.body, "user_id", "identifier"));
  if (wanted.name && *wanted.name != at.team.name) {
    co_return ApiError(ApiCode::bad_request, "the name of a team does not change: mounts have it");
  }
  if ((wanted.quota || wanted.group) && call.who.role != db::UserRole::admin) {
    co_return ApiError(ApiCode::forbidden,
                       "the quota and the policy group of a team come from administrators");
  }
  if (wanted.group.value_or(0) != 0) ASTER_CO_TRY(groups_.find(*wanted.group));
  db::TeamChange change{.description = wanted.description};
  ASTER_CO_TRY(const db::TeamRow team, co_await teams_.update(at.team.id, std::move(change)));
  ASTER_CO_TRY(co_await set_limits(team.workspace, wanted.quota, wanted.group));
  ASTER_CO_TRY(co_await audit(call, "team.update", team.name, changes_of(wanted)));
  auto reply = co_await team_reply(200, team, std::nullopt);
  co_return reply;
}

TeamApi::Reply TeamApi::set_archived(ApiCall call, bool archived) {
  ASTER_CO_TRY(const db::Membership at, co_await owned_team(call));
  db::TeamChange change;
  change.archived = archived;
  ASTER_CO_TRY(const db::TeamRow team, co_await teams_.update(at.team.id, std::move(change)));
  ASTER_CO_TRY(co_await audit(call, archived ? "team.archive" : "team.restore", team.name, {}));
  auto reply = co_await team_reply(200, team, std::nullopt);
  co_return reply;
}

TeamApi::Reply TeamApi::archive(ApiCall call) {
  return set_archived(std::move(call), true);
}

TeamApi::Reply TeamApi::restore(ApiCall call) {
  return set_archived(std::move(call), false);
}

namespace {

constexpr int64_t kNanoseconds = 1'000'000'000;

json::object purge_object(const db::PurgeRow& purge) {
  return {{"workspace_id", purge.workspace},
          {"name", purge.name},
          {"inodes_left", purge.inodes},
          {"bytes_left", purge.bytes},
          {"started_at", rfc3339(purge.started / kNanoseconds)}};
}

}  // namespace

TeamApi::Reply TeamApi::purge(ApiCall call) {
  ASTER_CO_TRY(const uint64_t id, path_number(call.arg(0)));
  ASTER_CO_TRY(const db::PurgeRow begun, co_await purger_.purge_team(id));
  ASTER_CO_TRY(co_await audit(
      call, "team.purge", begun.name,
      "inodes=" + std::to_string(begun.inodes) + " bytes=" + std::to_string(begun.bytes)));
  co_return ApiReply{202, json::serialize(purge_object(begun))};
}

TeamApi::Reply TeamApi::list_purges(ApiCall) {
  ASTER_CO_TRY(const auto purges, co_await purger_.list());
  json::array out;
  for (const db::PurgeRow& purge : purges) out.push_back(purge_object(purge));
  co_return ApiReply{200, json::serialize(out)};
}

TeamApi::Reply TeamApi::show(ApiCall call) {
  ASTER_CO_TRY(db::Membership at, co_await team_of(call, TeamRole::reader));
  auto reply = co_await team_reply(200, std::move(at.team), at.role);
  co_return reply;
}

TeamApi::Reply TeamApi::list_members(ApiCall call) {
  ASTER_CO_TRY(const db::Membership at, co_await team_of(call, TeamRole::reader));
  ASTER_CO_TRY(const auto members, co_await store_.members(at.team.id));
  json::array out;
  for (const db::MemberRow& member : members) out.push_back(member_object(member));
  co_return ApiReply{200, json::serialize(out)};
}

TeamApi::Reply TeamApi::add_member(ApiCall call) {
  ASTER_CO_TRY(const db::Membership at, co_await team_of(call, TeamRole::manager));
  ASTER_CO_TRY(WantedTeam wanted, read_wanted(call.body, "user_id", "identifier"));
  TeamRole role = TeamRole::member;
  if (wanted.role) {
    ASTER_CO_TRY(role, db::parse_team_role(*wanted.role));
  }
  ASTER_CO_TRY(may_deal_with(at.role, role));
  ASTER_CO_TRY(const db::UserRow user, co_await user_of(wanted.user, wanted.user_name));
  ASTER_CO_TRY(const auto members, co_await store_.members(at.team.id));
  for (const db::MemberRow& member : members) {
    if (member.user == user.id) {
      co_return ApiError(ApiCode::conflict, user.name + " is in the team already, as " +
                                                std::string(to_string(member.role)));
    }
  }
  ASTER_CO_TRY(const auto member, co_await teams_.put_member(at.team.id, user.id, role));
  ASTER_CO_TRY(co_await audit(call, "team.member.add", at.team.name,
                              "user=" + user.name + " role=" + std::string(to_string(role))));
  co_return ApiReply{201, json::serialize(member_object(member))};
}

namespace {

Result<db::MemberRow> member_of(const std::vector<db::MemberRow>& members, uint64_t user) {
  for (const db::MemberRow& member : members) {
    if (member.user.value == user) return member;
  }
  return fail(Errc::not_found, "no member with id " + std::to_string(user));
}

}  // namespace

TeamApi::Reply TeamApi::set_role(ApiCall call) {
  ASTER_CO_TRY(const db::Membership at, co_await team_of(call, TeamRole::manager));
  ASTER_CO_TRY(const uint64_t id, path_number(call.arg(1)));
  ASTER_CO_TRY(const WantedTeam wanted, read_wanted(call.body, "user_id", "identifier"));
  ASTER_CO_TRY(const TeamRole role, db::parse_team_role(wanted.role.value_or(std::string())));
  ASTER_CO_TRY(const auto members, co_await store_.members(at.team.id));
  ASTER_CO_TRY(const db::MemberRow before, member_of(members, id));
  ASTER_CO_TRY(may_deal_with(at.role, before.role));
  ASTER_CO_TRY(may_deal_with(at.role, role));
  ASTER_CO_TRY(const auto member, co_await teams_.put_member(at.team.id, before.user, role));
  ASTER_CO_TRY(co_await audit(call, "team.member.role", at.team.name,
                              "user=" + before.user_name +
                                  " role=" + std::string(to_string(before.role)) + "->" +
                                  std::string(to_string(role))));
  co_return ApiReply{200, json::serialize(member_object(member))};
}

TeamApi::Reply TeamApi::remove_member(ApiCall call) {
  // Everybody may leave.
  ASTER_CO_TRY(const uint64_t id, path_number(call.arg(1)));
  const TeamRole least = call.who.user.value == id ? TeamRole::reader : TeamRole::manager;
  ASTER_CO_TRY(const db::Membership at, co_await team_of(call, least));
  ASTER_CO_TRY(const auto members, co_await store_.members(at.team.id));
  ASTER_CO_TRY(const db::MemberRow before, member_of(members, id));
  if (call.who.user.value != id) ASTER_CO_TRY(may_deal_with(at.role, before.role));
  ASTER_CO_TRY(const auto member, co_await teams_.remove_member(at.team.id, before.user));
  ASTER_CO_TRY(
      co_await audit(call, "team.member.remove", at.team.name, "user=" + member.user_name));
  co_return ApiReply{};
}

}  // namespace aster::primary
