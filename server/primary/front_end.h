#pragma once

#include <functional>
#include <memory>

#include "protocol/base/clock.h"
#include "protocol/base/config.h"
#include "protocol/base/executor.h"
#include "server/db/database.h"
#include "server/primary/accounts.h"
#include "server/primary/api_call.h"
#include "server/primary/backends.h"
#include "server/primary/workspaces.h"

namespace aster::primary {

/// What a primary lends to its front ends; all of it outlives them.
struct FrontEndParts {
  const Config& config;
  const ApiGate& gate;
  Accounts& accounts;
  Workspaces& workspaces;
  db::AccountStore& account_store;
  db::Database& database;
  NamespaceService& namespaces;
  PolicyBackends& backends;
  Executor& work;
  Executor& disk;
  const Clock& clock;
};

/// Another way to the same files, over the same server: its own routes over the namespace service.
/// Chosen by the composition root, so that the primary does not know which there are.
class FrontEnd {
 public:
  virtual ~FrontEnd() = default;
  /// Before the server starts; the front end outlives it.
  virtual void add_routes(http::Router& router) = 0;
};

/// May wait for the database.
using MakeFrontEnd = std::function<Result<std::unique_ptr<FrontEnd>>(const FrontEndParts&)>;

}  // namespace aster::primary
