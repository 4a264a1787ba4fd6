#pragma once

#include "server/primary/api_call.h"
#include "server/primary/policy_groups.h"
#include "server/primary/teams.h"
#include "server/primary/tree_purger.h"

namespace aster::primary {

/// Teams: /api/v1/admin/teams for administrators, /api/v1/teams for members and owners. Outlives
/// the server that uses its routes.
class TeamApi {
 public:
  TeamApi(const ApiGate& gate, Teams& teams, db::TeamStore& store, db::AccountStore& accounts,
          TreePurger& purger, PolicyGroups& groups)
      : gate_(gate),
        teams_(teams),
        store_(store),
        accounts_(accounts),
        purger_(purger),
        groups_(groups) {}

  void add_routes(http::Router& router);

 private:
  using Reply = Task<ApiResult<ApiReply>>;
  Reply list_all(ApiCall call);
  Reply create(ApiCall call);
  Reply update(ApiCall call);
  Reply archive(ApiCall call);
  Reply restore(ApiCall call);
  Reply purge(ApiCall call);
  Reply list_purges(ApiCall call);
  Reply list_mine(ApiCall call);
  Reply show(ApiCall call);
  Reply list_members(ApiCall call);
  Reply add_member(ApiCall call);
  Reply set_role(ApiCall call);
  Reply remove_member(ApiCall call);

  /// The team of the path with what the caller is in it: owner for administrators. not_found when
  /// it is not the caller's, forbidden below `least`.
  Task<ApiResult<db::Membership>> team_of(const ApiCall& call, db::TeamRole least);
  /// The same for owners only, of an archived team, too, which nobody enters.
  Task<ApiResult<db::Membership>> owned_team(const ApiCall& call);
  Reply team_reply(int status, db::TeamRow team, std::optional<db::TeamRole> role);
  Reply set_archived(ApiCall call, bool archived);
  /// nullopt = keep.
  Task<Result<void>> set_limits(uint64_t workspace, std::optional<uint64_t> quota,
                                std::optional<uint64_t> group);
  Task<Result<void>> audit(const ApiCall& call, std::string action, std::string team,
                           std::string detail);
  Task<Result<db::UserRow>> user_of(std::optional<uint64_t> id, std::optional<std::string> name);

  const ApiGate& gate_;
  Teams& teams_;
  db::TeamStore& store_;
  db::AccountStore& accounts_;
  TreePurger& purger_;
  PolicyGroups& groups_;
};

}  // namespace aster::primary
