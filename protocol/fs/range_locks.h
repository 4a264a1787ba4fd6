#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

namespace aster::fs {

/// A lock as fcntl(2) knows it. flock(2) locks are those of the whole range.
struct RangeLock {
  uint64_t start = 0;
  uint64_t end = UINT64_MAX;  ///< inclusive
  bool exclusive = false;
  uint32_t pid = 0;
};

/// The locks of one inode, of any number of owners: what fcntl(2) says about splitting and joining.
template <class Owner>
class RangeLocks {
 public:
  struct Held {
    Owner owner;
    RangeLock lock;
  };

  /// The lock of another owner that stands in the way.
  std::optional<Held> conflict(const Owner& owner, const RangeLock& wanted) const {
    for (const Held& held : held_) {
      const bool overlap = held.lock.start <= wanted.end && wanted.start <= held.lock.end;
      if (overlap && held.owner != owner && (held.lock.exclusive || wanted.exclusive)) return held;
    }
    return std::nullopt;
  }
  /// Replaces whatever the owner holds in the range. Without a look at conflicts.
  void set(const Owner& owner, const RangeLock& lock) {
    clear(owner, lock.start, lock.end);
    held_.push_back({owner, lock});
  }
  /// Takes the range out of what the owner holds.
  void clear(const Owner& owner, uint64_t start, uint64_t end) {
    std::vector<Held> rest;
    for (const Held& held : held_) {
      const bool overlap = held.lock.start <= end && start <= held.lock.end;
      if (!overlap || held.owner != owner) {
        rest.push_back(held);
        continue;
      }
      if (held.lock.start < start) {
        rest.push_back(held);
        rest.back().lock.end = start - 1;
      }
      if (held.lock.end > end) {
        rest.push_back(held);
        rest.back().lock.start = end + 1;
      }
    }
    held_.swap(rest);
  }
  template <class Predicate>
  void erase_if(Predicate predicate) {
    std::erase_if(held_, [&](const Held& held) { return predicate(held.owner); });
  }
  const std::vector<Held>& all() const { return held_; }
  bool empty() const { return held_.empty(); }
  size_t size() const { return held_.size(); }

 private:
  std::vector<Held> held_;
};

}  // namespace aster::fs
