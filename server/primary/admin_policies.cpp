#include <boost/json.hpp>

#include "server/primary/admin_api.h"
#include "server/primary/api_json.h"
#include "server/primary/audit_text.h"
#include "server/primary/memory_source.h"

namespace aster::primary {
namespace {

namespace json = boost::json;

Result<PolicyId> policy_of(const ApiCall& call) {
  ASTER_TRY(const uint64_t id, path_number(call.arg(0)));
  return PolicyId(id);
}

/// Stores and removes two bytes: what a policy's storage has to be able to do.
Task<Result<void>> try_storage(std::shared_ptr<ObjectDriver> driver) {
  const ObjectId probe = ObjectId::random();
  ObjectUpload upload{.body = std::make_shared<MemorySource>(Bytes::from_string("ok")),
                      .length = 2};
  ASTER_CO_TRY(co_await driver->put(probe, std::move(upload)));
  ASTER_CO_TRY(const uint64_t size, co_await driver->stat(probe));
  ASTER_CO_TRY(co_await driver->remove(probe));
  if (size != 2) co_return fail(Errc::corrupt, "two bytes were stored, another size came back");
  co_return ok();
}

}  // namespace

void AdminApi::add_policy_routes(http::Router& router) {
  add(router, "GET", "/api/v1/admin/policies", &AdminApi::list_policies);
  add(router, "POST", "/api/v1/admin/policies", &AdminApi::create_policy);
  add(router, "GET", "/api/v1/admin/policies/{}", &AdminApi::get_policy);
  add(router, "PATCH", "/api/v1/admin/policies/{}", &AdminApi::update_policy);
  add(router, "DELETE", "/api/v1/admin/policies/{}", &AdminApi::remove_policy);
  add(router, "POST", "/api/v1/admin/policies/{}/set-default", &AdminApi::set_default_policy);
  add(router, "POST", "/api/v1/admin/policies/{}/test", &AdminApi::test_policy);
  add(router, "POST", "/api/v1/admin/policies/test", &AdminApi::test_unsaved_policy);
  add(router, "GET", "/api/v1/admin/policies/{}/capacity", &AdminApi::policy_capacity);
}

Task<ApiResult<ApiReply>> AdminApi::list_policies(ApiCall call) {
  ASTER_CO_TRY(const db::PageRequest page, page_of_query(call.request.raw_query()));
  const std::vector<db::PolicyRow> all = parts_.policies.rows();
  std::vector<std::string> items;
  for (size_t i = page.offset; i < all.size() && items.size() < page.limit; ++i) {
    items.push_back(policy_json(all[i]));
  }
  co_return ApiReply{200, list_json(items, all.size(), page)};
}

Task<ApiResult<ApiReply>> AdminApi::create_policy(ApiCall call) {
  ASTER_CO_TRY(const db::PolicyRow made, co_await parts_.policies.create(std::move(call.body)));
  co_await audit(call.who, "policy.create", made.name);
  // A first figure for statfs; the next round of probes brings another.
  const auto figure = co_await parts_.backends.refresh_capacity(made.id);
  static_cast<void>(figure);
  co_return ApiReply{201, policy_json(made)};
}

Task<ApiResult<ApiReply>> AdminApi::get_policy(ApiCall call) {
  ASTER_CO_TRY(const PolicyId id, policy_of(call));
  ASTER_CO_TRY(const db::PolicyRow row, parts_.policies.row(id));
  co_return ApiReply{200, policy_json(row)};
}

Task<ApiResult<ApiReply>> AdminApi::update_policy(ApiCall call) {
  ASTER_CO_TRY(const PolicyId id, policy_of(call));
  std::string changes = changes_text(call.body);
  ASTER_CO_TRY(const db::PolicyRow row, co_await parts_.policies.update(id, std::move(call.body)));
  co_await audit(call.who, "policy.update", row.name, std::move(changes));
  co_return ApiReply{200, policy_json(row)};
}

Task<ApiResult<ApiReply>> AdminApi::remove_policy(ApiCall call) {
  ASTER_CO_TRY(const PolicyId id, policy_of(call));
  // Nothing takes a policy from under data: its files would be lost with nobody told.
  ASTER_CO_TRY(is_forced(call.request.raw_query()));
  ASTER_CO_TRY(const db::PolicyRow row, parts_.policies.row(id));
  ASTER_CO_TRY(co_await parts_.policies.remove(id));
  co_await audit(call.who, "policy.remove", row.name);
  co_return ApiReply{};
}

Task<ApiResult<ApiReply>> AdminApi::set_default_policy(ApiCall call) {
  ASTER_CO_TRY(const PolicyId id, policy_of(call));
  ASTER_CO_TRY(const db::PolicyRow row, co_await parts_.policies.set_default(id));
  co_await audit(call.who, "policy.set_default", row.name);
  co_return ApiReply{200, policy_json(row)};
}

Task<ApiResult<ApiReply>> AdminApi::test_policy(ApiCall call) {
  ASTER_CO_TRY(const PolicyId id, policy_of(call));
  ASTER_CO_TRY(const std::shared_ptr<ObjectDriver> driver, parts_.backends.driver(id));
  ASTER_CO_TRY(co_await try_storage(driver));
  co_return ApiReply{};
}

Task<ApiResult<ApiReply>> AdminApi::test_unsaved_policy(ApiCall call) {
  ASTER_CO_TRY(const Policy policy, co_await parts_.policies.judge(std::move(call.body)));
  if (policy.driver == Driver::s3) co_return ApiReply{};  // was tried there
  ASTER_CO_TRY(const std::shared_ptr<ObjectDriver> driver, parts_.backends.driver_of(policy));
  ASTER_CO_TRY(co_await try_storage(driver));
  co_return ApiReply{};
}

Task<ApiResult<ApiReply>> AdminApi::policy_capacity(ApiCall call) {
  ASTER_CO_TRY(const PolicyId id, policy_of(call));
  ASTER_CO_TRY(const ObjectBackends::Capacity found, co_await parts_.backends.refresh_capacity(id));
  const json::object capacity{{"status", "supported"},
                              {"total_bytes", found.total},
                              {"available_bytes", found.free},
                              {"used_bytes", found.total - std::min(found.free, found.total)}};
  co_return ApiReply{200, json::serialize(json::object{{"capacity", capacity}})};
}

}  // namespace aster::primary
