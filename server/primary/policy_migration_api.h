#pragma once

#include "server/db/account_store.h"
#include "server/primary/api_call.h"
#include "server/primary/policies.h"
#include "server/primary/policy_migrator.h"
#include "server/primary/workspace_choice.h"

namespace aster::primary {

/// /api/v1/admin/storage-migrations: every route needs an administrator's token. See aster-api(7).
/// Outlives the server that uses its routes.
class PolicyMigrationApi {
 public:
  PolicyMigrationApi(const ApiGate& gate, PolicyMigrator& migrator, Policies& policies,
                     db::AccountStore& accounts, db::TeamStore& teams, db::Database& database,
                     Executor& executor)
      : gate_(gate),
        migrator_(migrator),
        policies_(policies),
        accounts_(accounts),
        teams_(teams),
        database_(database),
        executor_(executor) {}

  void add_routes(http::Router& router);

 private:
  using Reply = Task<ApiResult<ApiReply>>;

  Reply list(ApiCall call);
  Reply create(ApiCall call);
  Reply get(ApiCall call);
  Reply cancel(ApiCall call);
  Reply resume(ApiCall call);

  std::string text_of(const db::MigrationRow& row) const;
  Task<void> audit(const Identity& who, std::string action, const db::MigrationRow& row);

  const ApiGate& gate_;
  PolicyMigrator& migrator_;
  Policies& policies_;
  db::AccountStore& accounts_;
  db::TeamStore& teams_;
  db::Database& database_;
  Executor& executor_;
};

}  // namespace aster::primary
