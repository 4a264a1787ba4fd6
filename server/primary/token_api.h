#pragma once

#include "server/db/token_store.h"
#include "server/primary/api_call.h"

namespace aster::primary {

/// A user's tokens: /api/v1/auth/tokens. Outlives the server that uses its routes.
class TokenApi {
 public:
  TokenApi(const ApiGate& gate, Accounts& accounts, db::TokenStore& tokens, db::AccountStore& store,
           const Clock& clock)
      : gate_(gate), accounts_(accounts), tokens_(tokens), store_(store), clock_(clock) {}

  void add_routes(http::Router& router);

 private:
  Task<ApiResult<ApiReply>> list(ApiCall call);
  Task<ApiResult<ApiReply>> create(ApiCall call);
  Task<ApiResult<ApiReply>> revoke(ApiCall call);

  const ApiGate& gate_;
  Accounts& accounts_;
  db::TokenStore& tokens_;
  db::AccountStore& store_;
  const Clock& clock_;
};

}  // namespace aster::primary
