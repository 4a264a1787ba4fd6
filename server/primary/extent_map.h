#pragma once

#include <cstdint>
#include <unordered_map>

#include "server/db/fs_store.h"

namespace aster::primary {

/// Changes the extents of one file and keeps count of what that means. Private to the namespace
/// service; lives inside one transaction. Extents of the file never overlap.
class ExtentMap {
 public:
  ExtentMap(db::FsStore& store, InodeNo ino) : store_(store), ino_(ino) {}

  /// [begin, end) becomes a hole: extents inside go, those across an edge are cut.
  void punch(uint64_t begin, uint64_t end);
  /// Adds an extent where there is a hole. Grows the one before it when both continue the same
  /// object, so that a file written piecewise into one object stays one extent.
  void fill(const db::ExtentRow& row);
  /// Writes the reference counts. Call once, at the end.
  void settle(int64_t now);

  /// By how many bytes more (or less) extents cover now.
  int64_t allocated_delta() const noexcept { return allocated_; }

 private:
  void punch_one(const db::ExtentRow& row, uint64_t begin, uint64_t end);

  db::FsStore& store_;
  const InodeNo ino_;
  int64_t allocated_ = 0;
  std::unordered_map<uint64_t, int64_t> refs_;  // changes by object
};

}  // namespace aster::primary
