#pragma once

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

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

  /// Where a name stands in what was fetched.
  struct Line {
    std::shared_ptr<const DirItems> page;
    const DirItem* item = nullptr;  ///< null: the listing is whole and the name is not in it
  };
  std::optional<Line> find_name(InodeNo directory, const std::string& name) const;
  /// What one request brings.
  static bool is_small_file(const fs::Attr& attr);
  /// A small file is opened to be read. When others of its directory were before it: the next small
  /// ones, which will probably be, too. Each is named once.
  std::vector<InodeNo> next_to_read(InodeNo directory, const std::string& name);
  /// Counts a look-up that no listing answered. True when so many of them have come for one
  /// directory that fetching its first page is worth it.
  bool missed(InodeNo directory);

 private:
  /// Somebody reads the small files of a directory one after the other.
  struct Walk {
    std::shared_ptr<const DirItems> page;
    std::vector<bool> named;  // by position in the page
    size_t opened = 0;
    size_t ahead = 0;  // named and not opened yet
  };
  struct Listing {
    Walk walk;
    std::map<uint64_t, std::shared_ptr<const DirItems>> pages;  // by start
    std::list<uint64_t>::iterator age;
  };
  struct State {
    std::unordered_map<uint64_t, Listing> listings;
    std::list<uint64_t> ages;  // oldest first
    size_t items = 0;
  };
  static void erase(State& state, uint64_t directory);
  static std::optional<Line> find_line(const Listing& listing, const std::string& name);

  const size_t items_limit_;
  Guarded<State> state_;
  Guarded<std::unordered_map<uint64_t, uint32_t>> misses_;  // by directory
};

}  // namespace aster
