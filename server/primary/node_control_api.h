#pragma once

#include "protocol/sign/signature.h"
#include "server/http/http.h"
#include "server/primary/follower_registry.h"

namespace aster::primary {

/// What an enrolled follower may ask, signed with its own key: its binding state (protocol section
/// 12.2). There is no tunnel here, so the routes of one stay unknown (404). Outlives the server
/// that uses its routes.
class NodeControlApi {
 public:
  NodeControlApi(const FollowerRegistry& registry, const Clock& clock);

  void add_routes(http::Router& router);

 private:
  Task<http::Response> binding_state(http::Request& request);
  ApiResult<std::string> state_for(const http::Request& request) const;

  const FollowerRegistry& registry_;
  sign::MemoryNonceStore nonces_;
  const sign::Verifier verifier_;
};

}  // namespace aster::primary
