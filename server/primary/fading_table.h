#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>

#include "protocol/base/clock.h"

namespace aster::primary {

/// A value per key, each until a time of its own. Bounded: when full, what would be forgotten
/// soonest goes first. Where every event moves that time on, pushing a note out takes as many
/// events of other keys as the note itself has seen, so that junk does not flush it. Not
/// thread-safe.
template <class Value>
class FadingTable {
 public:
  explicit FadingTable(size_t capacity) : capacity_(std::max<size_t>(capacity, 1)) {}

  /// nullptr when nothing is known of the key, or not any more at `now`.
  Value* find(const std::string& key, SteadyTime now) {
    const auto found = index_.find(key);
    if (found == index_.end()) return nullptr;
    if (found->second->first > now) return &found->second->second.value;
    drop(found);
    return nullptr;
  }
  /// Until when the key is known; `now` when it is not.
  SteadyTime until(const std::string& key, SteadyTime now) const {
    const auto found = index_.find(key);
    return found == index_.end() ? now : std::max(now, found->second->first);
  }
  /// Makes the entry unless find() sees it, and sets its time.
  Value& keep(const std::string& key, SteadyTime until) {
    const auto found = index_.find(key);
    if (found != index_.end()) {
      auto node = by_time_.extract(found->second);
      node.key() = until;
      found->second = by_time_.insert(std::move(node));
      return found->second->second.value;
    }
    if (by_time_.size() >= capacity_) drop(index_.find(by_time_.begin()->second.key));
    const auto made = by_time_.emplace(until, Entry{key, Value()});
    index_.emplace(key, made);
    return made->second.value;
  }
  void forget(const std::string& key) {
    const auto found = index_.find(key);
    if (found != index_.end()) drop(found);
  }
  size_t size() const { return by_time_.size(); }

 private:
  struct Entry {
    std::string key;
    Value value;
  };
  using ByTime = std::multimap<SteadyTime, Entry>;
  using Index = std::unordered_map<std::string, typename ByTime::iterator>;

  void drop(typename Index::iterator which) {
    by_time_.erase(which->second);
    index_.erase(which);
  }

  const size_t capacity_;
  ByTime by_time_;
  Index index_;
};

}  // namespace aster::primary
