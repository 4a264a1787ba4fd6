#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/ids.h"
#include "server/db/database.h"

namespace aster {
class Clock;
class Executor;
}  // namespace aster

namespace aster::db {

struct PolicyRule {
  PolicyId policy;
  uint64_t priority = 0;  ///< the lowest that fits counts; unique in its group
  uint64_t min_size = 0;
  uint64_t max_size = 0;  ///< files are smaller than this; 0 = no limit
  bool enabled = true;
};

/// Which of several policies a file's data gets.
struct PolicyGroupRow {
  uint64_t id = 0;
  std::string name;  ///< unique
  std::string description;
  bool enabled = true;
  bool is_default = false;
  int64_t created_at = 0;
  int64_t updated_at = 0;
  std::vector<PolicyRule> rules;  ///< by priority
};

/// Policy groups, their rules, and who has which. Thread-safe; a write is durable when answered.
class PolicyGroupStore {
 public:
  PolicyGroupStore(Database& database, Executor& executor, const Clock& clock)
      : database_(database), executor_(executor), clock_(clock) {}

  /// conflict when the name is taken, not_found when a policy is not there. A new default takes the
  /// mark from the old one.
  Task<Result<PolicyGroupRow>> create(PolicyGroupRow group);
  /// Replaces everything but the id and times, the rules as well.
  Task<Result<PolicyGroupRow>> update(PolicyGroupRow group);
  /// precondition_failed while somebody has it.
  Task<Result<void>> remove(uint64_t id);
  Task<Result<std::vector<PolicyGroupRow>>> groups();

  struct Assignments {
    std::map<uint64_t, uint64_t> users;       ///< user -> group
    std::map<uint64_t, uint64_t> workspaces;  ///< workspace -> group
  };
  Task<Result<Assignments>> assignments();
  /// Group 0: none any more. not_found when user, workspace or group are not there.
  Task<Result<void>> assign_user(uint64_t user, uint64_t group);
  Task<Result<void>> assign_workspace(uint64_t workspace, uint64_t group);

 private:
  Database& database_;
  Executor& executor_;
  const Clock& clock_;
};

}  // namespace aster::db
