#include "server/primary/node_control_api.h"

#include "protocol/envelope.h"
#include "protocol/http_text.h"
#include "server/primary/api_call.h"

namespace aster::primary {
namespace {

// A follower asks twice a minute and a nonce is kept for ten.
constexpr size_t kNoncesKept = 100'000;

/// Reports without a revision are taken for 0; negative ones are refused.
Result<void> check_revision(std::string_view raw_query) {
  ASTER_TRY(const QueryList query, form_decode_query(raw_query));
  for (const auto& [name, value] : query) {
    if (name != "applied_revision") continue;
    const auto revision = parse_decimal<int64_t>(value);
    if (!revision || *revision < 0) return fail(Errc::bad_request, "applied_revision");
  }
  return ok();
}

}  // namespace

NodeControlApi::NodeControlApi(const FollowerRegistry& registry, const Clock& clock)
    : registry_(registry),
      nonces_(clock, kNoncesKept),
      verifier_(
          [this](std::string_view access_key) -> std::optional<sign::KeyRecord> {
            const FollowerRef follower = registry_.by_access_key(access_key);
            if (!follower) return std::nullopt;
            return sign::KeyRecord{.secret = follower->row.secret_key};
          },
          nonces_, clock) {}

void NodeControlApi::add_routes(http::Router& router) {
  router.add("GET", "/api/v1/internal/remote-node-control/binding-state",
             [this](http::Request& request) { return binding_state(request); });
}

Task<http::Response> NodeControlApi::binding_state(http::Request& request) {
  const ApiResult<std::string> state = state_for(request);
  if (!state.ok()) co_return failure_response(state.error());
  co_return http::Response::json(200, encode_success(Dialect::str, *state));
}

ApiResult<std::string> NodeControlApi::state_for(const http::Request& request) const {
  // A disabled node has to learn that it is: `enabled` is not demanded.
  ASTER_TRY(const std::string access_key,
            verifier_.verify(sign::ReceivedRequest::from(request.method, request.target,
                                                         request.headers, request.content_length),
                             {.demand_enabled = false}));
  ASTER_TRY(check_revision(request.raw_query()));
  const FollowerRef follower = registry_.by_access_key(access_key);
  if (!follower) return ApiError(ApiCode::not_found, "the node was removed");
  const db::NodeRow& row = follower->row;
  return to_json(BindingState{.name = row.name,
                              .is_enabled = row.enabled,
                              .resolved_transport = "direct",
                              .desired_revision = row.desired_revision});
}

}  // namespace aster::primary
