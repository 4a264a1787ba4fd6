#pragma once

#include <map>
#include <optional>
#include <string>

#include "server/db/team_store.h"
#include "server/primary/accounts.h"
#include "server/primary/namespace_service.h"

namespace aster::primary {

/// Teams: each has a tree of its own that its members enter. Thread-safe. What is changed through
/// this object holds at once; a change by another process after `recheck`.
class Teams {
 public:
  struct Options {
    std::chrono::seconds recheck{10};
    size_t cached = 10000;
  };
  Teams(Options options, db::TeamStore& store, db::AccountStore& users, Accounts& accounts,
        NamespaceService& namespaces, Executor& executor, const Clock& clock);

  struct NewTeam {
    std::string name;  ///< as a user's, but without '@' and '.' at its ends
    std::string description;
    UserId owner;
  };
  /// bad_request, conflict, not_found.
  Task<Result<db::TeamRow>> create(NewTeam team);
  /// An archived team keeps everything, but nobody enters it.
  Task<Result<db::TeamRow>> update(uint64_t id, db::TeamChange change);
  Task<Result<db::MemberRow>> put_member(uint64_t team, UserId user, db::TeamRole role);
  /// Ends the user's sessions in the team's tree, too.
  Task<Result<db::MemberRow>> remove_member(uint64_t team, UserId user);

  /// not_found for who is not in it; the same for a team that is not there or archived.
  Task<Result<db::Membership>> membership(UserId user, std::string team);
  Task<Result<db::Membership>> membership_in(UserId user, uint64_t workspace);

 private:
  struct Known {
    db::Membership membership;
    SteadyTime recheck_at;
  };
  struct Cache {
    std::map<std::pair<uint64_t, std::string>, Known> by_name;
    std::map<std::pair<uint64_t, uint64_t>, Known> by_workspace;
    uint64_t changes = 0;  ///< a look-up that saw the store before one of them is not kept
  };
  void forget_all();
  void keep(UserId user, const db::Membership& membership, uint64_t seen);
  /// What members did before does not go on.
  Task<Result<void>> end_sessions(uint64_t workspace, std::vector<UserId> users);

  const Options options_;
  db::TeamStore& store_;
  db::AccountStore& users_;
  Accounts& accounts_;
  NamespaceService& namespaces_;
  const Clock& clock_;
  AsyncMutex making_;
  Guarded<Cache> cache_;
};

}  // namespace aster::primary
