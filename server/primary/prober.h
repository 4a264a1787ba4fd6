#pragma once

#include <atomic>
#include <chrono>

#include "protocol/base/executor.h"
#include "server/db/account_store.h"
#include "server/primary/backends.h"
#include "server/primary/follower_registry.h"

namespace aster::primary {

/// The regular round: followers are probed, capacities read, ended tokens dropped. Runs on the
/// executor; what it needs must outlive it.
class Prober {
 public:
  Prober(FollowerRegistry& registry, PolicyBackends& backends, db::AccountStore& accounts,
         Executor& executor, std::chrono::seconds interval)
      : registry_(registry),
        backends_(backends),
        accounts_(accounts),
        executor_(executor),
        interval_(interval) {}
  ~Prober() { stop(); }

  /// Begins with a round at once. At most one call.
  void start();
  /// Returns when the round under way has ended; not on a thread of the executor.
  void stop();

 private:
  Task<void> run();
  /// Until the interval has passed or stop() was called.
  Task<void> pause();

  FollowerRegistry& registry_;
  PolicyBackends& backends_;
  db::AccountStore& accounts_;
  Executor& executor_;
  const std::chrono::seconds interval_;
  std::atomic<bool> started_{false};
  std::atomic<bool> stopping_{false};
  Guarded<Completion<bool>> wake_;
  Completion<bool> ended_;
};

}  // namespace aster::primary
