#pragma once

#include <optional>
#include <string>

#include "protocol/client/http_client.h"
#include "server/follower/binding_store.h"

namespace aster::follower {

/// What `aster_drive node enroll` and the bootstrap from the environment are told.
struct EnrollRequest {
  std::string master_url;
  std::string token;  ///< one-time; never logged
};

/// Redeems the token at the primary, stores the binding, acknowledges (protocol section 11.2).
/// Errors carry the primary's own words; `binding_stored` in EnrollFailure tells whether the
/// binding is there although the acknowledgement failed.
struct EnrollFailure {
  Error error;
  std::string primary_message;  ///< the msg of its envelope, for comparison; empty = none
  bool binding_stored = false;
};
struct EnrollResult {
  std::optional<BindingStore::Enrolled> enrolled;
  std::optional<EnrollFailure> failure;
};
Task<EnrollResult> enroll_node(HttpClient& http, BindingStore& store, EnrollRequest request);

/// ASTER_BOOTSTRAP_REMOTE_MASTER_URL and ..._ENROLLMENT_TOKEN (section 11.5), before the server
/// starts. Never fails: what goes wrong is logged and the follower starts as it is.
Task<void> bootstrap_from_environment(HttpClient& http, BindingStore& store);

}  // namespace aster::follower
