#pragma once

#include <functional>
#include <string>
#include <vector>

#include "protocol/base/config.h"
#include "server/db/consistency.h"

/// A primary's data seen from outside of the server, which may run meanwhile.
namespace aster::primary {

struct InspectionOptions {
  bool deep = false;
  bool repair = false;
  /// Called now and then with how many objects of how many have been asked for.
  std::function<void(uint64_t done, uint64_t all)> progress;
};
struct Inspection {
  std::vector<db::Finding> findings;  ///< after the repair, if there was one
  uint64_t repaired = 0;              ///< rows
  uint64_t objects = 0;               ///< asked for at their nodes
  uint64_t listed = 0;                ///< that the nodes have, looked for in the database
};

/// Checks the database that `config` names and, with `deep`, that every live object is where its
/// policy says, in its full size, and that the database knows of what is there. Changes nothing
/// without `repair`, and nothing on the nodes. Fails only when it could not look.
Result<Inspection> inspect(const Config& config, InspectionOptions options);

}  // namespace aster::primary
