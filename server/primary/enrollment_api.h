#pragma once

#include "server/http/http.h"
#include "server/primary/enrollment.h"

namespace aster::primary {

/// What followers call without proof of identity: redeem and ack, each answered in the caller's
/// dialect; and 404 for the control plane that this primary does not offer. Outlives the server
/// that uses its routes.
class EnrollmentApi {
 public:
  explicit EnrollmentApi(Enrollment& enrollment) : enrollment_(enrollment) {}

  void add_routes(http::Router& router);

 private:
  Task<http::Response> redeem(http::Request& request);
  Task<http::Response> acknowledge(http::Request& request);
  Task<Result<std::string>> try_redeem(http::Request& request, Dialect dialect);
  Task<Result<std::string>> try_acknowledge(http::Request& request);

  Enrollment& enrollment_;
};

/// /health and /health/ready of a primary, and the answer to everything unknown.
void add_health_routes(http::Router& router, std::function<Task<Result<void>>()> check);

}  // namespace aster::primary
