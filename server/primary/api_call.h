#pragma once

#include <functional>
#include <string>
#include <vector>

#include "protocol/api_error.h"
#include "server/http/http.h"
#include "server/primary/accounts.h"

namespace aster::primary {

/// Largest JSON body of everything but a batch, bytes.
inline constexpr size_t kMaxApiBody = 1 << 20;

/// A request of the auth, admin or enrolment API with what its handler needs. `request` lives until
/// the handler's task has ended.
struct ApiCall {
  http::Request& request;
  Identity who;      ///< empty on public routes
  std::string body;  ///< whole

  const std::string& arg(size_t i) const { return request.path_args[i]; }
};

struct ApiReply {
  int status = 200;
  std::string data;  ///< JSON text; empty = no data member
};

using ApiHandler = std::function<Task<ApiResult<ApiReply>>(ApiCall)>;

/// Who may call: `token` takes every good token and leaves its limits to the handler, `user` and
/// `admin` refuse tokens with limits.
enum class Access { anyone, token, user, admin };

/// Adapts handlers to HTTP: bearer token, role, bounded body, envelope in the string dialect.
/// Outlives the router's server.
class ApiGate {
 public:
  explicit ApiGate(Accounts& accounts) : accounts_(accounts) {}

  http::Handler wrap(Access access, ApiHandler handler) const;
  /// The caller's proof, or why not: token_invalid, forbidden.
  Task<Result<Identity>> identify(const http::Request& request, Access access) const;

 private:
  Task<http::Response> run(http::Request& request, Access access, const ApiHandler& handler) const;
  Task<ApiResult<ApiReply>> call(http::Request& request, Access access,
                                 const ApiHandler& handler) const;

  Accounts& accounts_;
};

/// What Authorization proves with; token_invalid without it.
Result<std::string> bearer_token(const http::Request& request);

/// The whole body; too_large beyond `limit`, by its announced or by its real length.
Task<Result<std::string>> read_body(http::Request& request, size_t limit);

/// The error envelope of these APIs. Unlike a follower's it keeps the text of a 5xx (an
/// administrator has to see what failed), but not of a bug.
http::Response failure_response(const ApiError& error);

/// A positive number in a path; not_found for anything else.
Result<uint64_t> path_number(const std::string& text);

}  // namespace aster::primary
