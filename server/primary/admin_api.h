#pragma once

#include "server/primary/api_call.h"
#include "server/primary/backends.h"
#include "server/primary/enrollment.h"
#include "server/primary/follower_registry.h"
#include "server/primary/policies.h"
#include "server/primary/policy_groups.h"
#include "server/primary/target_service.h"
#include "server/primary/tree_purger.h"

namespace aster::primary {

/// Everything that administrators' routes work on.
struct AdminParts {
  Accounts& accounts;
  db::AccountStore& account_store;
  db::NodeStore& node_store;
  FollowerRegistry& registry;
  Enrollment& enrollment;
  TargetService& targets;
  Policies& policies;
  PolicyBackends& backends;
  PolicyGroups& groups;
  TreePurger& purger;
};

/// Administration: /api/v1/admin/... Every route needs an administrator's token. Outlives the
/// server that uses its routes.
class AdminApi {
 public:
  AdminApi(const ApiGate& gate, AdminParts parts) : gate_(gate), parts_(parts) {}

  void add_routes(http::Router& router);

 private:
  using Method = Task<ApiResult<ApiReply>> (AdminApi::*)(ApiCall);
  void add(http::Router& router, const char* method, const char* path, Method handler);
  void add_user_routes(http::Router& router);
  void add_node_routes(http::Router& router);
  void add_policy_routes(http::Router& router);

  // admin_api.cpp
  Task<ApiResult<ApiReply>> overview(ApiCall call);
  Task<ApiResult<ApiReply>> list_audit(ApiCall call);

  // admin_users.cpp
  Task<ApiResult<ApiReply>> list_users(ApiCall call);
  Task<ApiResult<ApiReply>> user_reply(int status, db::UserRow user);
  Task<ApiResult<ApiReply>> create_user(ApiCall call);
  Task<ApiResult<ApiReply>> get_user(ApiCall call);
  Task<ApiResult<ApiReply>> update_user(ApiCall call);
  Task<ApiResult<ApiReply>> set_password(ApiCall call);
  Task<ApiResult<ApiReply>> revoke_sessions(ApiCall call);
  Task<ApiResult<ApiReply>> remove_user(ApiCall call);

  // admin_nodes.cpp
  Task<ApiResult<ApiReply>> list_nodes(ApiCall call);
  Task<ApiResult<ApiReply>> create_node(ApiCall call);
  Task<ApiResult<ApiReply>> get_node(ApiCall call);
  Task<ApiResult<ApiReply>> update_node(ApiCall call);
  Task<ApiResult<ApiReply>> remove_node(ApiCall call);
  Task<ApiResult<ApiReply>> issue_token(ApiCall call);
  Task<ApiResult<ApiReply>> test_node(ApiCall call);
  Task<ApiResult<ApiReply>> test_unsaved_node(ApiCall call);
  Task<ApiResult<ApiReply>> list_targets(ApiCall call);
  Task<ApiResult<ApiReply>> create_target(ApiCall call);
  Task<ApiResult<ApiReply>> update_target(ApiCall call);
  Task<ApiResult<ApiReply>> remove_target(ApiCall call);
  Task<ApiResult<ApiReply>> list_target_drivers(ApiCall call);

  // admin_policies.cpp
  Task<ApiResult<ApiReply>> list_policies(ApiCall call);
  Task<ApiResult<ApiReply>> create_policy(ApiCall call);
  Task<ApiResult<ApiReply>> get_policy(ApiCall call);
  Task<ApiResult<ApiReply>> update_policy(ApiCall call);
  Task<ApiResult<ApiReply>> remove_policy(ApiCall call);
  Task<ApiResult<ApiReply>> set_default_policy(ApiCall call);
  Task<ApiResult<ApiReply>> test_policy(ApiCall call);
  Task<ApiResult<ApiReply>> test_unsaved_policy(ApiCall call);
  Task<ApiResult<ApiReply>> policy_capacity(ApiCall call);

  Task<Result<std::string>> node_text(db::NodeRow node);
  /// Notes who did what; a failure to note is logged and hides nothing.
  Task<void> audit(const Identity& who, std::string action, std::string subject,
                   std::string detail = {});

  const ApiGate& gate_;
  const AdminParts parts_;
};

}  // namespace aster::primary
