#pragma once

#include "protocol/fs/messages.h"
#include "server/primary/api_call.h"
#include "server/primary/workspaces.h"

namespace aster::primary {

/// The API of mounted clients: sessions, batches, events. See aster-api(7). Outlives the server
/// that uses its routes.
class ClientApi {
 public:
  ClientApi(const ApiGate& gate, Accounts& accounts, Workspaces& workspaces,
            NamespaceService& namespaces)
      : gate_(gate), accounts_(accounts), workspaces_(workspaces), namespaces_(namespaces) {}

  void add_routes(http::Router& router);

 private:
  Task<http::Response> open_session(http::Request& request);
  Task<http::Response> close_session(http::Request& request);
  Task<http::Response> batch(http::Request& request);
  Task<http::Response> acknowledge(http::Request& request);
  Task<http::Response> lease(http::Request& request);
  Task<http::Response> lock(http::Request& request);
  Task<http::Response> events(http::Request& request);

  Task<Result<std::string>> try_open_session(http::Request& request);
  Task<Result<std::string>> try_close_session(http::Request& request);
  Task<Result<std::string>> try_batch(http::Request& request);
  Task<Result<std::string>> try_acknowledge(http::Request& request);
  Task<Result<std::string>> try_lease(http::Request& request);
  Task<Result<std::string>> try_lock(http::Request& request);
  Task<Result<std::shared_ptr<ByteSource>>> try_events(http::Request& request);
  Task<Result<Identity>> identify(const http::Request& request);
  /// The session's caller; without a session the query names the workspace.
  Task<Result<Caller>> caller_of(Identity who, SessionId session, const http::Request& request);

  const ApiGate& gate_;
  Accounts& accounts_;
  Workspaces& workspaces_;
  NamespaceService& namespaces_;
};

/// The error envelope of this API: Errc strings.
http::Response fs_failure(const Error& error);

}  // namespace aster::primary
