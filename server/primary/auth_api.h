#pragma once

#include "server/primary/api_call.h"
#include "server/primary/workspaces.h"

namespace aster::primary {

/// Login and first set-up: /api/v1/auth/... Outlives the server that uses its routes.
class AuthApi {
 public:
  AuthApi(const ApiGate& gate, Accounts& accounts, Workspaces& workspaces, db::AccountStore& store,
          const Clock& clock)
      : gate_(gate), accounts_(accounts), workspaces_(workspaces), store_(store), clock_(clock) {}

  void add_routes(http::Router& router);

 private:
  Task<ApiResult<ApiReply>> check(ApiCall call);
  Task<ApiResult<ApiReply>> setup(ApiCall call);
  Task<ApiResult<ApiReply>> login(ApiCall call);
  Task<ApiResult<ApiReply>> logout(ApiCall call);
  Task<ApiResult<ApiReply>> me(ApiCall call);
  Task<ApiResult<ApiReply>> change_password(ApiCall call);

  const ApiGate& gate_;
  Accounts& accounts_;
  Workspaces& workspaces_;
  db::AccountStore& store_;
  const Clock& clock_;
};

}  // namespace aster::primary
