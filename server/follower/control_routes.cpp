#include <unistd.h>

#include "protocol/base/log.h"
#include "protocol/capabilities.h"
#include "protocol/envelope.h"
#include "protocol/http_text.h"
#include "protocol/messages.h"
#include "server/follower/follower_api.h"

namespace aster::follower {
namespace {

bool speaks_numbers(const http::Request& request) {
  const std::string* agent = request.header("User-Agent");
  return agent && dialect_of_user_agent(*agent) == Dialect::num;
}

/// What old primaries show of a node: `status` plus version and time of build.
std::string old_health(std::string_view status) {
  return "{\"status\":\"" + std::string(status) +
         "\",\"version\":\"" ASTER_VERSION "\",\"build_time\":\"unknown\"}";
}

}  // namespace

Task<FollowerApi::Outcome> FollowerApi::get_capabilities(Call& call) {
  static const std::string kAnswer = to_json(own_capabilities({"local", "s3"}));
  co_return success(call.dialect, kAnswer);
}

Task<FollowerApi::Outcome> FollowerApi::get_capacity(Call& call) {
  const auto driver = call.usable->driver;
  ASTER_CO_TRY(const storage::Capacity found, co_await driver->capacity());
  Capacity out;
  out.status = "supported";
  out.total_bytes = static_cast<int64_t>(found.total);
  out.available_bytes = static_cast<int64_t>(found.available);
  out.used_bytes = static_cast<int64_t>(found.used);
  out.source = found.source;
  out.observed_at = rfc3339(parts_.clock.now_seconds());
  co_return success(call.dialect, to_json(out));
}

Task<FollowerApi::Outcome> FollowerApi::put_binding(Call& call) {
  ASTER_CO_TRY(const std::string body, co_await read_json_body(call.request.body));
  ASTER_CO_TRY(const BindingState state, from_json<BindingState>(body));
  if (trim(state.name).empty()) co_return ApiError(ApiCode::bad_request, "name is blank");
  if (state.resolved_transport != "direct" && state.resolved_transport != "reverse_tunnel") {
    co_return ApiError(ApiCode::bad_request, "resolved_transport is direct or reverse_tunnel");
  }
  BindingStore& store = parts_.store;
  const int64_t id = call.binding.id;
  ASTER_CO_TRY(
      co_await parts_.disk.run([&store, id, &state] { return store.apply_state(id, state); }));
  co_return success(call.dialect);
}

Task<FollowerApi::Outcome> FollowerApi::list_targets(Call& call) {
  co_return success(call.dialect, to_json(parts_.targets.list(call.binding)));
}

Task<FollowerApi::Outcome> FollowerApi::create_target(Call& call) {
  ASTER_CO_TRY(const std::string body, co_await read_json_body(call.request.body));
  ASTER_CO_TRY(const TargetCreate wish, from_json<TargetCreate>(body));
  co_await parts_.disk.hop();
  ASTER_CO_TRY(const TargetInfo made, parts_.targets.create(call.binding, wish));
  co_return success(call.dialect, to_json(made), 201);
}

Task<FollowerApi::Outcome> FollowerApi::update_target(Call& call) {
  ASTER_CO_TRY(const std::string body, co_await read_json_body(call.request.body));
  ASTER_CO_TRY(const TargetUpdate wish, from_json<TargetUpdate>(body));
  co_await parts_.disk.hop();
  ASTER_CO_TRY(const TargetInfo made, parts_.targets.update(call.binding, call.key, wish));
  co_return success(call.dialect, to_json(made));
}

Task<FollowerApi::Outcome> FollowerApi::delete_target(Call& call) {
  co_await parts_.disk.hop();
  ASTER_CO_TRY(parts_.targets.remove(call.binding, call.key));
  co_return success(call.dialect);
}

Task<http::Response> FollowerApi::health(http::Request& request) {
  if (speaks_numbers(request)) co_return success(Dialect::num, old_health("ok"));
  co_return http::Response::json(200, R"({"status":"ok"})");
}

Task<http::Response> FollowerApi::ready(http::Request& request) {
  const Dialect dialect = speaks_numbers(request) ? Dialect::num : Dialect::str;
  const ApiResult<bool> has_default = co_await check_ready();
  if (!has_default.ok()) {
    ASTER_LOG(info, "not ready", {"request", request.request_id},
              {"err", has_default.error().message});
    // This endpoint has texts of its own, unlike other answers above 500.
    const ApiCode code = has_default.error().code;
    const bool database = code == ApiCode::database_error;
    const ApiError shown(code, database ? "Database unavailable" : "Storage unavailable", 400);
    co_return http::Response::json(503, encode_error(dialect, shown));
  }
  std::string data = dialect == Dialect::num ? old_health("ready") : R"({"status":"ready"})";
  data.pop_back();
  data += *has_default ? ",\"default_target\":true}" : ",\"default_target\":false}";
  co_return success(dialect, data);
}

/// Whether this follower can serve (protocol section 22); the value: every enabled binding has a
/// default target that works.
Task<ApiResult<bool>> FollowerApi::check_ready() {
  co_await parts_.disk.hop();
  const Result<void> database = parts_.store.ping();
  if (!database.ok()) co_return ApiError(ApiCode::database_error, database.error().message());
  bool enabled = false;
  bool all_have_default = true;
  for (const Binding& binding : parts_.store.bindings()) {
    if (!binding.is_enabled) continue;
    enabled = true;
    const auto usable = parts_.targets.resolve(binding, std::nullopt);
    if (!usable.ok()) {
      const bool storage_failed = usable.error().http_status() >= 500;
      if (storage_failed || parts_.ready_requires_target) co_return usable.error();
      all_have_default = false;
      continue;
    }
    const auto capacity = co_await usable->driver->capacity();
    if (!capacity.ok() && capacity.error().code != Errc::unsupported) {
      co_return ApiError(ApiCode::storage_unknown, capacity.error().message());
    }
  }
  if (!enabled) co_return ApiError(ApiCode::storage_unknown, "no enabled binding: not enrolled");
  co_return all_have_default;
}

}  // namespace aster::follower
