#include "server/primary/tree_quota_api.h"

#include <algorithm>
#include <boost/json.hpp>

#include "protocol/base/log.h"
#include "protocol/json_reader.h"
#include "server/primary/api_json.h"

namespace aster::primary {
namespace {

namespace json = boost::json;

constexpr size_t kFolderPathMax = 65536;
constexpr int64_t kNanoseconds = 1'000'000'000;

struct Body {
  std::string path;
  uint64_t quota = 0;
  WorkspaceChoice whose;
};

Result<Body> read_wanted(std::string_view text, bool with_quota) {
  ASTER_TRY(const json::object object, parse_json_object(text, kMaxApiBody));
  JsonReader reader(object);
  Body body;
  reader.required("path", body.path);
  if (with_quota) reader.required("quota", body.quota);
  body.whose.read(reader);
  ASTER_TRY(body, reader.finish(std::move(body)));
  if (!body.path.starts_with('/') || body.path.size() > kFolderPathMax) {
    return fail(Errc::bad_request, "path begins with '/', at most 65536 bytes");
  }
  if (with_quota && (body.quota == 0 || body.quota > INT64_MAX)) {
    return fail(Errc::bad_request, "quota is 1 to 9223372036854775807 bytes");
  }
  return body;
}

const char* state_name(db::TreeState state) {
  switch (state) {
    case db::TreeState::counting: return "counting";
    case db::TreeState::active: return "active";
    case db::TreeState::removing: return "removing";
  }
  return "unknown";
}

std::string text_of(const TreeQuotas::Shown& quota) {
  const db::TreeQuota& tree = quota.tree;
  return json::serialize(json::object{{"id", tree.root.value},
                                      {"workspace_id", tree.workspace},
                                      {"path", quota.path},
                                      {"quota", tree.quota},
                                      {"used", std::max<int64_t>(0, tree.used)},
                                      {"state", state_name(tree.state)},
                                      {"counted", tree.counted},
                                      {"created_at", rfc3339(tree.created / kNanoseconds)}});
}

}  // namespace

void TreeQuotaApi::add_routes(http::Router& router) {
  using Method = Reply (TreeQuotaApi::*)(ApiCall);
  const auto add = [&](const char* method, const char* path, Method handler) {
    router.add(method, path, gate_.wrap(Access::admin, [this, handler](ApiCall call) {
      return (this->*handler)(std::move(call));
    }));
  };
  add("GET", "/api/v1/admin/tree-quotas", &TreeQuotaApi::list);
  add("POST", "/api/v1/admin/tree-quotas", &TreeQuotaApi::set);
  add("POST", "/api/v1/admin/tree-quotas/remove", &TreeQuotaApi::remove_at);
  add("GET", "/api/v1/admin/tree-quotas/{}", &TreeQuotaApi::get);
  add("DELETE", "/api/v1/admin/tree-quotas/{}", &TreeQuotaApi::remove);
}

Task<void> TreeQuotaApi::audit(const Identity& who, std::string action,
                               const TreeQuotas::Shown& quota) {
  const Result<void> noted =
      co_await accounts_.audit(who.user, std::move(action), quota.path,
                               "workspace=" + std::to_string(quota.tree.workspace) +
                                   " quota=" + std::to_string(quota.tree.quota));
  if (!noted.ok()) ASTER_LOG(warn, "audit_not_written", {"err", noted.error()});
}

TreeQuotaApi::Reply TreeQuotaApi::list(ApiCall call) {
  ASTER_CO_TRY(const db::PageRequest page, page_of_query(call.request.raw_query()));
  ASTER_CO_TRY(const TreeQuotas::Page found, co_await quotas_.list(page.limit, page.offset));
  std::vector<std::string> items;
  for (const TreeQuotas::Shown& quota : found.items) items.push_back(text_of(quota));
  co_return ApiReply{200, list_json(items, found.total, page)};
}

TreeQuotaApi::Reply TreeQuotaApi::set(ApiCall call) {
  ASTER_CO_TRY(Body body, read_wanted(call.body, true));
  ASTER_CO_TRY(const uint64_t workspace,
               co_await chosen_workspace(body.whose, call.who.workspace, accounts_, teams_));
  TreeQuotas::Wanted wanted{workspace, std::move(body.path), body.quota};
  ASTER_CO_TRY(const TreeQuotas::Shown made, co_await quotas_.set(std::move(wanted)));
  co_await audit(call.who, "tree_quota.set", made);
  co_return ApiReply{200, text_of(made)};
}

TreeQuotaApi::Reply TreeQuotaApi::get(ApiCall call) {
  ASTER_CO_TRY(const uint64_t id, path_number(call.arg(0)));
  ASTER_CO_TRY(const TreeQuotas::Shown found, co_await quotas_.find(InodeNo(id)));
  co_return ApiReply{200, text_of(found)};
}

TreeQuotaApi::Reply TreeQuotaApi::remove(ApiCall call) {
  ASTER_CO_TRY(const uint64_t id, path_number(call.arg(0)));
  ASTER_CO_TRY(const TreeQuotas::Shown gone, co_await quotas_.remove(InodeNo(id)));
  co_await audit(call.who, "tree_quota.remove", gone);
  co_return ApiReply{200, text_of(gone)};
}

TreeQuotaApi::Reply TreeQuotaApi::remove_at(ApiCall call) {
  ASTER_CO_TRY(Body body, read_wanted(call.body, false));
  ASTER_CO_TRY(const uint64_t workspace,
               co_await chosen_workspace(body.whose, call.who.workspace, accounts_, teams_));
  ASTER_CO_TRY(const TreeQuotas::Shown gone,
               co_await quotas_.remove_at(workspace, std::move(body.path)));
  co_await audit(call.who, "tree_quota.remove", gone);
  co_return ApiReply{200, text_of(gone)};
}

}  // namespace aster::primary
