#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>

#include "fuse/vfs/lifeline.h"
#include "fuse/vfs/types.h"
#include "protocol/base/executor.h"
#include "protocol/base/guarded.h"
#include "protocol/client/lock_client.h"
#include "protocol/fs/range_locks.h"

namespace aster {

/// flock(2) and fcntl(2) locks of this mount at the primary. Remembers what is held, to claim it
/// again from a primary that has forgotten. Thread-safe.
class FileLocks {
 public:
  /// `primary` null: locks are refused as unsupported. Everything must outlive it.
  FileLocks(LockClient* primary, Executor& executor, std::chrono::milliseconds timeout)
      : primary_(primary), executor_(executor), timeout_(timeout) {}
  /// Waits for work in the background.
  ~FileLocks() {
    stop();
    lifeline_->close();
  }
  FileLocks(const FileLocks&) = delete;
  FileLocks& operator=(const FileLocks&) = delete;

  struct Wish {
    InodeNo ino;
    HandleId handle = 0;
    uint64_t owner = 0;  ///< of the kernel
    bool whole = false;  ///< flock(2)
    bool unlock = false;
    fs::RangeLock range;
  };
  /// locked when somebody else has it. With `wait` until it is free or the caller leaves: then
  /// interrupted.
  Task<Result<void>> set(Wish wish, bool wait, Caller who);
  /// What stands in the way.
  Task<Result<std::optional<fs::RangeLock>>> test(Wish wish);
  /// close(2): the fcntl(2) locks of this owner go.
  Task<Result<void>> closed(InodeNo ino, uint64_t owner);
  /// The last close(2) of an open file: what was locked through it goes, in the background.
  void released(HandleId handle, InodeNo ino);
  /// Claims everything again.
  void reclaim();
  size_t held() const;
  /// Whether `wish` gives up an exclusive lock, or a part of one: others may then write or read.
  bool gives_up(const Wish& wish) const;
  /// No more repetitions.
  void stop() { stopping_ = true; }

 private:
  struct Key {
    uint64_t ino;
    bool whole;
    auto operator<=>(const Key&) const = default;
  };
  struct State {
    std::map<Key, fs::RangeLocks<uint64_t>> locks;
    std::unordered_map<HandleId, std::set<std::pair<bool, uint64_t>>> owners;  // whole, owner
  };
  Task<Result<fs::LockAnswer>> ask(fs::LockRequest request);
  Task<void> send_quietly(Wish wish, bool claim);
  void note(const Wish& wish);
  bool holds(InodeNo ino, bool whole, uint64_t owner) const;

  LockClient* const primary_;
  Executor& executor_;
  const std::chrono::milliseconds timeout_;
  std::atomic<bool> stopping_{false};
  Guarded<State> state_;
  const std::shared_ptr<Lifeline> lifeline_ = std::make_shared<Lifeline>();
};

}  // namespace aster
