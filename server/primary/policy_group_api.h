#pragma once

#include "server/db/account_store.h"
#include "server/primary/api_call.h"
#include "server/primary/policies.h"
#include "server/primary/policy_groups.h"
#include "server/primary/workspace_choice.h"

namespace aster::primary {

/// /api/v1/admin/policy-groups: every route needs an administrator's token. See aster-api(7).
/// Outlives the server that uses its routes.
class PolicyGroupApi {
 public:
  PolicyGroupApi(const ApiGate& gate, PolicyGroups& groups, Policies& policies,
                 db::AccountStore& accounts, db::TeamStore& teams)
      : gate_(gate), groups_(groups), policies_(policies), accounts_(accounts), teams_(teams) {}

  void add_routes(http::Router& router);

 private:
  using Reply = Task<ApiResult<ApiReply>>;

  Reply list(ApiCall call);
  Reply create(ApiCall call);
  Reply get(ApiCall call);
  Reply update(ApiCall call);
  Reply remove(ApiCall call);
  Reply assign(ApiCall call);
  Reply change_assignment(const ApiCall& call, uint64_t group);
  Reply unassign(ApiCall call);

  std::string text_of(const db::PolicyGroupRow& row) const;
  Task<void> audit(const Identity& who, std::string action, std::string subject,
                   std::string detail = {});

  const ApiGate& gate_;
  PolicyGroups& groups_;
  Policies& policies_;
  db::AccountStore& accounts_;
  db::TeamStore& teams_;
};

}  // namespace aster::primary
