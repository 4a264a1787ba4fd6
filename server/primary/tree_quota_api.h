#pragma once

#include "server/primary/api_call.h"
#include "server/primary/tree_quotas.h"
#include "server/primary/workspace_choice.h"

namespace aster::primary {

/// /api/v1/admin/tree-quotas: every route needs an administrator's token. See aster-api(7).
/// Outlives the server that uses its routes.
class TreeQuotaApi {
 public:
  TreeQuotaApi(const ApiGate& gate, TreeQuotas& quotas, db::AccountStore& accounts,
               db::TeamStore& teams)
      : gate_(gate), quotas_(quotas), accounts_(accounts), teams_(teams) {}

  void add_routes(http::Router& router);

 private:
  using Reply = Task<ApiResult<ApiReply>>;

  Reply list(ApiCall call);
  Reply set(ApiCall call);
  Reply get(ApiCall call);
  Reply remove(ApiCall call);
  Reply remove_at(ApiCall call);

  Task<void> audit(const Identity& who, std::string action, const TreeQuotas::Shown& quota);

  const ApiGate& gate_;
  TreeQuotas& quotas_;
  db::AccountStore& accounts_;
  db::TeamStore& teams_;
};

}  // namespace aster::primary
