#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/task.h"
#include "server/db/tree_quota_store.h"
#include "server/primary/duty.h"
#include "server/primary/lease_table.h"

namespace aster {
class Executor;
namespace db {
class Database;
}
}  // namespace aster

namespace aster::primary {

/// Quotas of directories. What is below one when it gets its quota is counted in bounded steps, at
/// once as far as that is quick and then in the background; what changes meanwhile is charged as it
/// happens, so that the sum is exact at every moment for what was counted. Thread-safe.
class TreeQuotas {
 public:
  /// See NamespaceService::call_back: who keeps names to itself would not see a new limit.
  using CallBack = std::function<RecallPtr(uint64_t workspace)>;
  TreeQuotas(db::Database& database, Executor& executor, const Clock& clock, CallBack call_back);

  /// Goes on with what an earlier process left.
  void start() { duty_.start(); }
  /// Lets the step under way end.
  void stop() {
    stopping_ = true;
    duty_.stop();
  }

  struct Shown {
    db::TreeQuota tree;
    std::string path;
  };
  struct Wanted {
    uint64_t workspace = 0;
    std::string path;    ///< "/a/b", of a directory; not_found, not_directory
    uint64_t quota = 0;  ///< bytes, not 0; may be below what is used
  };
  /// Gives a directory a quota, or another one. precondition_failed while another quota of the
  /// workspace is being counted or removed.
  Task<Result<Shown>> set(Wanted wanted);
  /// What was shown last. not_found; precondition_failed as above.
  Task<Result<Shown>> remove(InodeNo root);
  Task<Result<Shown>> remove_at(uint64_t workspace, std::string path);
  Task<Result<Shown>> find(InodeNo root);
  struct Page {
    std::vector<Shown> items;
    uint64_t total = 0;
  };
  Task<Result<Page>> list(size_t limit, size_t offset);

  /// Until nothing is left to count or to remove; for tests, instead of start().
  Task<Result<void>> settle();

 private:
  /// One bounded transaction; false: nothing to do.
  Task<Result<bool>> step();
  Task<Result<InodeNo>> make(const Wanted& wanted);
  Task<Result<void>> begin();

  db::Database& database_;
  Executor& executor_;
  const Clock& clock_;
  const CallBack call_back_;
  std::atomic<bool> stopping_{false};
  Duty duty_;
};

}  // namespace aster::primary
