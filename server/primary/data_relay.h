#pragma once

#include "server/http/http.h"
#include "server/primary/backends.h"
#include "server/primary/relay_urls.h"

namespace aster::primary {

/// GET and PUT of /api/v1/data/objects/<hex>: bytes between a client and a policy's storage through
/// this server, streamed with back-pressure. The signed path is the permission. Outlives the server
/// that uses its routes.
class DataRelay {
 public:
  DataRelay(PolicyBackends& backends, const RelayUrls& urls) : backends_(backends), urls_(urls) {}

  void add_routes(http::Router& router);

 private:
  Task<http::Response> upload(http::Request& request);
  Task<http::Response> download(http::Request& request);
  Task<Result<ObjectBody>> open(http::Request& request);
  Task<Result<void>> store(http::Request& request);

  PolicyBackends& backends_;
  const RelayUrls& urls_;
};

}  // namespace aster::primary
