#pragma once

#include <optional>
#include <string>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/guarded.h"
#include "server/content/tree.h"
#include "server/db/webdav_store.h"
#include "server/primary/guest_locks.h"

namespace aster::webdav {

using Lock = db::WebdavLockRow;

/// A resource as locks see it.
struct LockPlace {
  uint64_t workspace = 0;
  InodeNo ino;
  std::vector<InodeNo> above;  ///< directories above it, the tree's root first
};

/// The locks of WebDAV clients. Mounts meet those on a resource itself as locks of the whole file,
/// and theirs stand in the way here, those below a collection in the way of a deep lock. The file
/// API obeys both. Looked up in memory, kept in the database so that a restart ends none.
/// Thread-safe.
class LockTable {
 public:
  static constexpr int64_t kLongest = 86400;  ///< seconds
  static constexpr int64_t kUsual = 3600;
  static constexpr size_t kMost = 10'000;  ///< of one workspace

  /// `guests`: where locks of mounts are; may be null.
  LockTable(db::WebdavStore& store, const Clock& clock, primary::GuestLocks* guests = nullptr)
      : store_(store), clock_(clock), guests_(guests) {}

  /// From the database; once, at start.
  Task<Result<void>> load();

  /// Those that hold for a resource: on itself, or deep ones from above.
  std::vector<Lock> covering(const LockPlace& place) const;
  /// Those on what lies below it.
  std::vector<Lock> below(const LockPlace& place) const;

  /// Whether a program on a mount has locked the file itself.
  bool held_by_mounts(InodeNo ino) const {
    return guests_ != nullptr && guests_->held_by_mounts(ino);
  }
  /// What programs on mounts have locked below a collection.
  Task<Result<std::vector<primary::LockedBelow>>> held_by_mounts_below(InodeNo directory) const;

  /// `locked` when another one is in the way: exclusive beside anything, deep over what is locked
  /// below. Token and end are filled in; out_of_resources.
  Task<Result<Lock>> take(Lock wanted);
  /// A new end; not_found when it has ended, or covers something else.
  Task<Result<Lock>> refresh(std::string token, LockPlace place, int64_t timeout);
  Task<Result<void>> release(std::string token);
  /// Whatever this resource or something below it holds: it is gone, or has another name.
  Task<Result<void>> drop(LockPlace place);

 private:
  using Locks = std::vector<Lock>;
  static bool covers(const Lock& lock, const LockPlace& place);
  static bool lies_below(const Lock& lock, const LockPlace& place);
  bool in_the_way(const Locks& locks, const Lock& wanted) const;
  /// Forgets those that have ended.
  void sweep(Locks& locks) const;

  /// `locked` when a program on a mount is in the way.
  Task<Result<void>> take_among_mounts(Lock wanted);
  /// Also for mounts.
  void forget(const Lock& lock) const;

  db::WebdavStore& store_;
  const Clock& clock_;
  primary::GuestLocks* const guests_;
  Guarded<Locks> locks_;
};

/// Where a spot's node lies, or its parent when nothing is there yet. `outside` are the directories
/// above the root of the visitor's tree.
LockPlace place_of_node(const content::Spot& spot, uint64_t workspace,
                        const std::vector<InodeNo>& outside);
LockPlace place_of_parent(const content::Spot& spot, uint64_t workspace,
                          const std::vector<InodeNo>& outside);

/// activelock elements, for lockdiscovery. `prefix` stands before the paths.
std::string locks_xml(const std::vector<Lock>& locks, const std::string& prefix, int64_t now);

/// Seconds of a Timeout header, within bounds.
int64_t parse_timeout(const std::string* header);

}  // namespace aster::webdav
