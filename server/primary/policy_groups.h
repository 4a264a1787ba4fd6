#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/executor.h"
#include "protocol/base/guarded.h"
#include "server/db/policy_group_store.h"
#include "server/primary/object_backend.h"

namespace aster::primary {

/// Policy groups, kept in memory for the data paths. Thread-safe.
///
/// New data gets the policy of the first rule, by priority, whose window has the file's size and
/// whose policy is usable, of the group that the workspace has, or the user, or of the default
/// group. Without any group that counts the default policy gets it.
class PolicyGroups {
 public:
  PolicyGroups(db::PolicyGroupStore& store, Executor& executor)
      : store_(store), changing_(executor) {}

  /// Reads what is stored; before anything else.
  Task<Result<void>> load();

  /// Again, for what others changed there.
  Task<Result<void>> reload();

  using Usable = std::function<Result<void>(PolicyId)>;
  /// nullopt: no group counts here. bad_request when no rule of it takes the size,
  /// precondition_failed, saying why, when those that do have no usable policy.
  Result<std::optional<PolicyId>> choose(const RouteRequest& request, const Usable& usable) const;

  /// Makes or changes one from the JSON body of the admin API. bad_request names the member.
  Task<Result<db::PolicyGroupRow>> create(std::string body);
  Task<Result<db::PolicyGroupRow>> update(uint64_t id, std::string body);
  Task<Result<void>> remove(uint64_t id);
  /// Group 0: none any more.
  Task<Result<void>> assign_user(uint64_t user, uint64_t group);
  Task<Result<void>> assign_workspace(uint64_t workspace, uint64_t group);

  Result<db::PolicyGroupRow> find(uint64_t id) const;
  std::vector<db::PolicyGroupRow> rows() const;
  db::PolicyGroupStore::Assignments assignments() const { return state_.lock()->assigned; }
  /// 0 = none.
  uint64_t group_of_user(uint64_t user) const;
  uint64_t group_of_workspace(uint64_t workspace) const;

 private:
  struct State {
    std::vector<db::PolicyGroupRow> groups;
    db::PolicyGroupStore::Assignments assigned;
  };
  /// The one that counts for the request; nullopt for none.
  static std::optional<db::PolicyGroupRow> group_for(const State& state,
                                                     const RouteRequest& request);

  db::PolicyGroupStore& store_;
  AsyncMutex changing_;  ///< held from a change in the store until memory has it
  Guarded<State> state_;
};

}  // namespace aster::primary
