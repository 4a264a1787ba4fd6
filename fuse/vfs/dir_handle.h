#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "fuse/vfs/inode_table.h"
#include "protocol/base/guarded.h"
#include "protocol/fs/messages.h"

namespace aster {

/// One line of a listing.
struct DirItem {
  std::string name;
  uint64_t next = 0;  ///< offset (telldir) of what comes after it
  fs::Attr attr;      ///< of "." and "..": only ino and type
  bool dot = false;   ///< "." or ".."
};

/// Entries that were fetched together.
struct DirItems {
  uint64_t start = 0;  ///< offset of the first one
  std::vector<DirItem> items;
  bool end = false;  ///< nothing comes after the last one
  InodeTable::Ticket ticket = 0;
  /// Positions in `items`, without "." and "..".
  std::unordered_map<std::string_view, size_t> by_name;
};

/// Part of a listing: the items from `begin` on. Empty = the end.
struct DirSlice {
  std::shared_ptr<const DirItems> page;
  size_t begin = 0;
};

/// One opendir(3). Offsets are 0 for the start, 1 after ".", 2 after "..", then the primary's
/// cookies plus 2: a name keeps its cookie, so a listing goes on at the right place whatever
/// happens meanwhile. Thread-safe.
class DirHandle {
 public:
  explicit DirHandle(InodeNo ino) : ino_(ino) {}
  InodeNo ino() const { return ino_; }

  /// What the page at hand knows after `offset`. A page must be fetched when this is nullopt:
  /// always at offset 0, so that rewinddir(3) sees the present.
  std::optional<DirSlice> at_hand(uint64_t offset) const;
  /// Where the fetch for `offset` has to begin: ReadDir::after.
  static uint64_t cookie_of(uint64_t offset) { return offset <= 2 ? 0 : offset - 2; }
  /// A fetched page for the listing after `offset`.
  std::shared_ptr<const DirItems> page_of(uint64_t offset, fs::DirPage fetched,
                                          InodeTable::Ticket ticket) const;
  /// Takes a page and gives the part after `offset`.
  DirSlice take(uint64_t offset, std::shared_ptr<const DirItems> page);

 private:
  const InodeNo ino_;
  Guarded<std::shared_ptr<const DirItems>> page_;
};

}  // namespace aster
