#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/task.h"
#include "server/db/account_store.h"
#include "server/db/purge_store.h"
#include "server/primary/duty.h"

namespace aster {
class Executor;
namespace db {
class Database;
}
}  // namespace aster

namespace aster::primary {

/// Removes whole trees for ever, in the background and in bounded steps. Files lose their names
/// from the deepest folders up and become orphans, which the collector frees with their objects
/// after its grace periods; the workspace goes when nothing of it is left. Each step is one
/// transaction, so a restart goes on where it was. Thread-safe.
class TreePurger {
 public:
  TreePurger(db::Database& database, db::AccountStore& audit, Executor& executor,
             const Clock& clock);

  void start() { duty_.start(); }
  /// Lets the step under way end.
  void stop() {
    stopping_ = true;
    duty_.stop();
  }

  /// Removes an archived team, and then its tree. not_found; precondition_failed for one that is
  /// not archived. How much there is to remove.
  Task<Result<db::PurgeRow>> purge_team(uint64_t team);
  /// Removes an account (see db::remove_user), and then its tree. How much there is to remove.
  Task<Result<db::PurgeRow>> purge_user(UserId user, bool with_files);
  /// Those that are not done. Of users the names are "user:NAME".
  Task<Result<std::vector<db::PurgeRow>>> list();

  /// As far as it goes now: what the collector has not freed yet waits for a later round.
  Task<Result<void>> round();

 private:
  Task<Result<void>> work_on(const db::PurgeRow& purge);

  db::Database& database_;
  db::AccountStore& audit_;
  Executor& executor_;
  const Clock& clock_;
  std::atomic<bool> stopping_{false};
  Duty duty_;
};

}  // namespace aster::primary
