#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "protocol/base/executor.h"
#include "server/db/database.h"
#include "server/primary/object_driver.h"

namespace aster::content {

/// What moves the objects of a policy; fails when it cannot now (see PolicyBackends::driver).
using DriverOf = std::function<Result<std::shared_ptr<primary::ObjectDriver>>(PolicyId)>;

/// Where objects lie. A manifest and a grant say it to clients by URLs; this server asks for the
/// driver itself. Thread-safe.
class ObjectPlaces {
 public:
  ObjectPlaces(db::Database& database, DriverOf drivers, Executor& executor)
      : database_(database), drivers_(std::move(drivers)), executor_(executor) {}

  /// One driver for each object, in order. not_found for an object that is gone.
  Task<Result<std::vector<std::shared_ptr<primary::ObjectDriver>>>> drivers(
      std::vector<ObjectId> objects);
  Task<Result<std::shared_ptr<primary::ObjectDriver>>> driver(ObjectId object);

 private:
  Result<std::vector<PolicyId>> policies(const std::vector<ObjectId>& objects);

  db::Database& database_;
  const DriverOf drivers_;
  Executor& executor_;
};

}  // namespace aster::content
