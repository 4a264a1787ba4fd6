#pragma once

#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/guarded.h"
#include "protocol/base/result.h"
#include "protocol/fs/lock_messages.h"
#include "protocol/fs/range_locks.h"
#include "server/primary/guest_locks.h"

namespace aster::primary {

/// flock(2) and fcntl(2) locks of all sessions, and those of guests. In memory: after a restart,
/// for `grace` or until all sessions of before have ended, only locks that were held before are
/// taken (reclaim). Thread-safe; never waits: who does not get a lock asks again.
class LockTable final : public GuestLocks {
 public:
  /// Locks of one session; more are out_of_resources.
  static constexpr size_t kSessionMax = 65536;

  LockTable(Duration grace, const Clock& clock) : grace_(grace), clock_(clock) {}

  /// A session of before the restart: it may come back for its locks.
  void restored(SessionId session);
  /// Releases everything that the session holds.
  void close(SessionId session);
  Result<fs::LockAnswer> apply(const fs::LockRequest& request);

  bool take(const GuestLock& lock) override;
  void put(const GuestLock& lock) override;
  void drop(InodeNo ino, const std::string& token) override;
  bool held_by_mounts(InodeNo ino) const override;

 private:
  struct Owner {
    SessionId session;
    uint64_t number = 0;
    friend bool operator==(const Owner&, const Owner&) = default;
  };
  using Locks = fs::RangeLocks<Owner>;
  struct State {
    std::unordered_map<uint64_t, Locks> inodes[2];  // fcntl, flock
    std::unordered_map<SessionId, size_t> count;
    std::unordered_map<uint64_t, std::vector<GuestLock>> guests;  // by inode
    std::unordered_set<SessionId> awaited;
    SteadyTime grace_end{};
  };
  bool in_grace(const State& state) const {
    return !state.awaited.empty() && clock_.steady() < state.grace_end;
  }
  /// The guest's lock that stands in the way of one of a mount.
  const GuestLock* guest_in_the_way(const State& state, const fs::LockRequest& request) const;
  void keep(State& state, const fs::LockRequest& request, const fs::RangeLock& lock);

  const Duration grace_;
  const Clock& clock_;
  Guarded<State> state_;
};

}  // namespace aster::primary
