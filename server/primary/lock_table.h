#pragma once

#include <functional>
#include <optional>
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
/// taken (reclaim). Thread-safe; never waits for a lock: who does not get one asks again.
class LockTable final : public GuestLocks {
 public:
  /// Locks of one session; more are out_of_resources.
  static constexpr size_t kSessionMax = 65536;

  /// Those of some inodes that lie somewhere below a directory, with their paths.
  using Below = std::function<Task<Result<std::vector<LockedBelow>>>(InodeNo directory,
                                                                     std::vector<InodeNo>)>;

  /// Without `below` deep locks end at the directory itself, and nothing is below one.
  LockTable(Duration grace, const Clock& clock, Below below = {})
      : grace_(grace), clock_(clock), below_(std::move(below)) {}

  /// A session of before the restart: it may come back for its locks.
  void restored(SessionId session);
  /// Releases everything that the session holds.
  void close(SessionId session);
  /// Directories that an inode lies in, near and far, for apply(). They are needed only while
  /// guests hold deep locks: `mark` is what deep_mark() said before they were looked up.
  struct Place {
    uint64_t mark = 0;
    std::vector<InodeNo> above;
  };
  /// 0 while there are no deep locks; another number with each new one.
  uint64_t deep_mark() const;
  /// nullopt: deep locks were taken after the place was looked up; look again.
  Result<std::optional<fs::LockAnswer>> apply(const fs::LockRequest& request, const Place& place);
  /// For an inode that is in no directory with a deep lock.
  Result<fs::LockAnswer> apply(const fs::LockRequest& request);

  bool take(const GuestLock& lock) override;
  Task<Result<bool>> take_deep(GuestLock lock) override;
  void put(const GuestLock& lock) override;
  void drop(InodeNo ino, const std::string& token) override;
  bool held_by_mounts(InodeNo ino) const override;
  LockHolder holder(InodeNo ino, const std::vector<InodeNo>& above) const override;
  Task<Result<std::vector<LockedBelow>>> held_below(InodeNo directory) override;

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
    uint64_t deep_now = 0;                                        // guests' deep locks
    uint64_t deep_taken = 0;                                      // so far
    std::unordered_set<SessionId> awaited;
    SteadyTime grace_end{};
  };
  bool in_grace(const State& state) const {
    return !state.awaited.empty() && clock_.steady() < state.grace_end;
  }
  /// The guest's lock that stands in the way of one of a mount.
  const GuestLock* guest_in_the_way(const State& state, const fs::LockRequest& request,
                                    const std::vector<InodeNo>& above) const;
  /// Whatever has a lock on it, its own or a guest's.
  std::vector<InodeNo> all_held() const;
  static uint64_t mark_of(const State& state) { return state.deep_now == 0 ? 0 : state.deep_taken; }
  static void add(State& state, const GuestLock& lock);
  static void remove(State& state, InodeNo ino, const std::string& token);
  Result<fs::LockAnswer> decide(State& state, const fs::LockRequest& request,
                                const std::vector<InodeNo>& above);
  void keep(State& state, const fs::LockRequest& request, const fs::RangeLock& lock);

  const Duration grace_;
  const Clock& clock_;
  const Below below_;
  Guarded<State> state_;
};

}  // namespace aster::primary
