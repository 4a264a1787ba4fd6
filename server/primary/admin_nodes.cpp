#include <algorithm>
#include <boost/json.hpp>

#include "protocol/http_text.h"
#include "protocol/json_reader.h"
#include "server/primary/admin_api.h"
#include "server/primary/api_json.h"
#include "server/primary/audit_text.h"

namespace aster::primary {
namespace {

namespace json = boost::json;

Result<FollowerRegistry::NewNode> read_new_node(std::string_view text) {
  ASTER_TRY(const json::object object, parse_json_object(text, kMaxApiBody));
  JsonReader reader(object);
  FollowerRegistry::NewNode node;
  reader.required("name", node.name);
  reader.optional("namespace", node.storage_namespace);
  reader.optional("base_url", node.base_url);
  reader.optional("is_enabled", node.enabled);
  reader.optional("transport_mode", node.transport_mode);
  return reader.finish(std::move(node));
}

Result<db::NodeChange> read_node_change(std::string_view text) {
  ASTER_TRY(const json::object object, parse_json_object(text, kMaxApiBody));
  if (object.contains("namespace")) {
    return fail(Errc::bad_request, "the namespace of a node cannot be changed");
  }
  JsonReader reader(object);
  db::NodeChange change;
  reader.optional("name", change.name);
  reader.optional("base_url", change.base_url);
  reader.optional("is_enabled", change.enabled);
  reader.optional("transport_mode", change.transport_mode);
  return reader.finish(std::move(change));
}

struct UnsavedNode {
  std::string base_url;
  std::string access_key;
  std::string secret_key;
};

Result<UnsavedNode> read_unsaved_node(std::string_view text) {
  ASTER_TRY(const json::object object, parse_json_object(text, kMaxApiBody));
  JsonReader reader(object);
  UnsavedNode node;
  reader.required("base_url", node.base_url);
  reader.required("access_key", node.access_key);
  reader.required("secret_key", node.secret_key);
  return reader.finish(std::move(node));
}

std::string issued_json(const db::NodeRow& node, const Enrollment::Issued& issued) {
  return json::serialize(json::object{{"remote_node_id", node.id.value},
                                      {"remote_node_name", node.name},
                                      {"master_url", issued.master_url},
                                      {"token", issued.token},
                                      {"expires_at", rfc3339(issued.expires_at)},
                                      {"command", issued.command}});
}

Result<NodeId> node_of(const ApiCall& call) {
  ASTER_TRY(const uint64_t id, path_number(call.arg(0)));
  return NodeId(id);
}

}  // namespace

void AdminApi::add_node_routes(http::Router& router) {
  add(router, "GET", "/api/v1/admin/remote-nodes", &AdminApi::list_nodes);
  add(router, "POST", "/api/v1/admin/remote-nodes", &AdminApi::create_node);
  add(router, "POST", "/api/v1/admin/remote-nodes/test", &AdminApi::test_unsaved_node);
  add(router, "GET", "/api/v1/admin/remote-nodes/{}", &AdminApi::get_node);
  add(router, "PATCH", "/api/v1/admin/remote-nodes/{}", &AdminApi::update_node);
  add(router, "DELETE", "/api/v1/admin/remote-nodes/{}", &AdminApi::remove_node);
  add(router, "POST", "/api/v1/admin/remote-nodes/{}/enrollment-token", &AdminApi::issue_token);
  add(router, "POST", "/api/v1/admin/remote-nodes/{}/test", &AdminApi::test_node);
  add(router, "GET", "/api/v1/admin/remote-nodes/{}/storage-target-drivers",
      &AdminApi::list_target_drivers);
  // The older name is what administration pages up to v0.3.2 call.
  for (const std::string name : {"storage-targets", "ingress-profiles"}) {
    const std::string all = "/api/v1/admin/remote-nodes/{}/" + name;
    const std::string one = all + "/{}";
    add(router, "GET", all.c_str(), &AdminApi::list_targets);
    add(router, "POST", all.c_str(), &AdminApi::create_target);
    add(router, "PATCH", one.c_str(), &AdminApi::update_target);
    add(router, "DELETE", one.c_str(), &AdminApi::remove_target);
  }
}

Task<Result<std::string>> AdminApi::node_text(db::NodeRow node) {
  ASTER_CO_TRY(const auto latest, co_await parts_.node_store.latest_enrollment(node.id));
  co_return node_json(node, parts_.enrollment.status(node, latest));
}

Task<ApiResult<ApiReply>> AdminApi::list_nodes(ApiCall call) {
  ASTER_CO_TRY(const db::PageRequest page, page_of_query(call.request.raw_query()));
  const std::vector<FollowerRef> all = parts_.registry.all();
  std::vector<std::string> items;
  for (size_t i = page.offset; i < all.size() && items.size() < page.limit; ++i) {
    ASTER_CO_TRY(std::string text, co_await node_text(all[i]->row));
    items.push_back(std::move(text));
  }
  co_return ApiReply{200, list_json(items, all.size(), page)};
}

Task<ApiResult<ApiReply>> AdminApi::create_node(ApiCall call) {
  ASTER_CO_TRY(FollowerRegistry::NewNode node, read_new_node(call.body));
  ASTER_CO_TRY(const db::NodeRow made, co_await parts_.registry.create(std::move(node)));
  co_await audit(call.who, "node.create", made.name);
  ASTER_CO_TRY(std::string text, co_await node_text(made));
  co_return ApiReply{201, std::move(text)};
}

Task<ApiResult<ApiReply>> AdminApi::get_node(ApiCall call) {
  ASTER_CO_TRY(const NodeId id, node_of(call));
  ASTER_CO_TRY(const FollowerRef follower, parts_.registry.find(id));
  ASTER_CO_TRY(std::string text, co_await node_text(follower->row));
  co_return ApiReply{200, std::move(text)};
}

Task<ApiResult<ApiReply>> AdminApi::update_node(ApiCall call) {
  ASTER_CO_TRY(const NodeId id, node_of(call));
  ASTER_CO_TRY(db::NodeChange change, read_node_change(call.body));
  ASTER_CO_TRY(const db::NodeRow row, co_await parts_.registry.update(id, std::move(change)));
  co_await audit(call.who, "node.update", row.name, changes_text(call.body));
  ASTER_CO_TRY(std::string text, co_await node_text(row));
  co_return ApiReply{200, std::move(text)};
}

Task<ApiResult<ApiReply>> AdminApi::remove_node(ApiCall call) {
  ASTER_CO_TRY(const NodeId id, node_of(call));
  ASTER_CO_TRY(const FollowerRef follower, parts_.registry.find(id));
  ASTER_CO_TRY(co_await parts_.registry.remove(id));
  co_await audit(call.who, "node.remove", follower->row.name);
  co_return ApiReply{};
}

Task<ApiResult<ApiReply>> AdminApi::issue_token(ApiCall call) {
  ASTER_CO_TRY(const NodeId id, node_of(call));
  ASTER_CO_TRY(const FollowerRef follower, parts_.registry.find(id));
  ASTER_CO_TRY(const Enrollment::Issued issued, co_await parts_.enrollment.issue(id));
  co_await audit(call.who, "node.enrollment_token", follower->row.name);
  co_return ApiReply{201, issued_json(follower->row, issued)};
}

Task<ApiResult<ApiReply>> AdminApi::test_node(ApiCall call) {
  ASTER_CO_TRY(const NodeId id, node_of(call));
  ASTER_CO_TRY(const db::NodeRow row, co_await parts_.registry.test(id));
  ASTER_CO_TRY(std::string text, co_await node_text(row));
  co_return ApiReply{200, std::move(text)};
}

Task<ApiResult<ApiReply>> AdminApi::test_unsaved_node(ApiCall call) {
  ASTER_CO_TRY(UnsavedNode node, read_unsaved_node(call.body));
  ASTER_CO_TRY(const Capabilities found, co_await parts_.registry.test_unsaved(
                                             std::move(node.base_url), std::move(node.access_key),
                                             std::move(node.secret_key)));
  co_return ApiReply{200, to_json(found)};
}

Task<ApiResult<ApiReply>> AdminApi::list_targets(ApiCall call) {
  ASTER_CO_TRY(const NodeId id, node_of(call));
  ASTER_CO_TRY(const std::vector<TargetInfo> found, co_await parts_.targets.list(id));
  co_return ApiReply{200, to_json(found)};
}

Task<ApiResult<ApiReply>> AdminApi::create_target(ApiCall call) {
  ASTER_CO_TRY(const NodeId id, node_of(call));
  ASTER_CO_TRY(TargetCreate target, from_json<TargetCreate>(call.body));
  ASTER_CO_TRY(const TargetInfo made, co_await parts_.targets.create(id, std::move(target)));
  co_await audit(call.who, "target.create", made.name);
  co_return ApiReply{201, to_json(made)};
}

Task<ApiResult<ApiReply>> AdminApi::update_target(ApiCall call) {
  ASTER_CO_TRY(const NodeId id, node_of(call));
  ASTER_CO_TRY(std::string key, percent_decode(call.arg(1)));
  ASTER_CO_TRY(TargetUpdate change, from_json<TargetUpdate>(call.body));
  ASTER_CO_TRY(const TargetInfo changed,
               co_await parts_.targets.update(id, std::move(key), std::move(change)));
  co_await audit(call.who, "target.update", changed.name, changes_text(call.body));
  co_return ApiReply{200, to_json(changed)};
}

Task<ApiResult<ApiReply>> AdminApi::remove_target(ApiCall call) {
  ASTER_CO_TRY(const NodeId id, node_of(call));
  ASTER_CO_TRY(const std::string key, percent_decode(call.arg(1)));
  ASTER_CO_TRY(const bool removed, co_await parts_.targets.remove(id, key));
  static_cast<void>(removed);
  co_await audit(call.who, "target.remove", key);
  co_return ApiReply{};
}

Task<ApiResult<ApiReply>> AdminApi::list_target_drivers(ApiCall call) {
  ASTER_CO_TRY(const NodeId id, node_of(call));
  ASTER_CO_TRY(const std::vector<std::string> drivers, parts_.targets.drivers(id));
  json::array out;
  for (const std::string& driver : drivers) out.push_back(json::object{{"driver_type", driver}});
  co_return ApiReply{200, json::serialize(out)};
}

}  // namespace aster::primary
