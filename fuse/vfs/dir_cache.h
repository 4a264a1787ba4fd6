#pragma once

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>

#include "fuse/vfs/dir_handle.h"

namespace aster {

/// Pages of listings that were fetched, for the next opendir(3). Whether a page may still be
/// believed is for its user to ask (InodeTable::listing_holds). Bounded, the oldest go first.
/// Thread-safe.
class DirCache {
 public:
  explicit DirCache(size_t items_limit = 100'000) : items_limit_(items_limit) {}

  void put(InodeNo directory, std::shared_ptr<const DirItems> page);
  /// The page in which a listing goes on after `offset`; null when it is not there.
  std::shared_ptr<const DirItems> find(InodeNo directory, uint64_t offset) const;
  void drop(InodeNo directory);

 private:
  struct Listing {
    std::map<uint64_t, std::shared_ptr<const DirItems>> pages;  // by start
    std::list<uint64_t>::iterator age;
  };
  struct State {
    std::unordered_map<uint64_t, Listing> listings;
    std::list<uint64_t> ages;  // oldest first
    size_t items = 0;
  };
  static void erase(State& state, uint64_t directory);

  const size_t items_limit_;
  Guarded<State> state_;
};

}  // namespace aster
