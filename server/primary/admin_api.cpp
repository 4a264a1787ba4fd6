#include "server/primary/admin_api.h"

#include <boost/json.hpp>

#include "protocol/base/log.h"
#include "server/primary/api_json.h"

namespace aster::primary {
namespace {

namespace json = boost::json;

}  // namespace

void AdminApi::add(http::Router& router, const char* method, const char* path, Method handler) {
  router.add(method, path, gate_.wrap(Access::admin, [this, handler](ApiCall call) {
    return (this->*handler)(std::move(call));
  }));
}

void AdminApi::add_routes(http::Router& router) {
  add(router, "GET", "/api/v1/admin/overview", &AdminApi::overview);
  add(router, "GET", "/api/v1/admin/audit-logs", &AdminApi::list_audit);
  add_user_routes(router);
  add_node_routes(router);
  add_policy_routes(router);
}

Task<void> AdminApi::audit(const Identity& who, std::string action, std::string subject,
                           std::string detail) {
  const Result<void> noted = co_await parts_.account_store.audit(
      who.user, std::move(action), std::move(subject), std::move(detail));
  if (!noted.ok()) ASTER_LOG(warn, "audit_not_written", {"err", noted.error()});
}

Task<ApiResult<ApiReply>> AdminApi::overview(ApiCall) {
  ASTER_CO_TRY(const auto users, co_await parts_.account_store.list_users({.limit = 1}));
  json::object nodes{{"total", 0}, {"enabled", 0}, {"failing", 0}};
  for (const FollowerRef& follower : parts_.registry.all()) {
    nodes["total"].as_int64() += 1;
    if (follower->row.enabled) nodes["enabled"].as_int64() += 1;
    if (!follower->row.last_error.empty()) nodes["failing"].as_int64() += 1;
  }
  json::object out{{"version", ASTER_VERSION}, {"users", users.total}, {"remote_nodes", nodes}};
  out["policies"] = parts_.policies.rows().size();
  const auto chosen = parts_.policies.default_policy();
  out["default_policy_id"] = chosen.ok() ? json::value((*chosen)->id.value) : json::value();
  const auto usable = parts_.backends.route({});
  out["storage_ready"] = usable.ok();
  out["storage_problem"] = usable.ok() ? std::string() : usable.error().context;
  co_return ApiReply{200, json::serialize(out)};
}

Task<ApiResult<ApiReply>> AdminApi::list_audit(ApiCall call) {
  ASTER_CO_TRY(const db::PageRequest page, page_of_query(call.request.raw_query()));
  ASTER_CO_TRY(const auto found, co_await parts_.account_store.list_audit(page));
  std::vector<std::string> items;
  for (const db::AuditRow& row : found.items) items.push_back(audit_json(row));
  co_return ApiReply{200, list_json(items, found.total, page)};
}

}  // namespace aster::primary
