#pragma once

#include <optional>
#include <vector>

#include "protocol/base/ids.h"
#include "server/db/txn.h"

namespace aster::db {

/// `object_offset`.. of object number `object` stands at `offset`.. of a file.
struct ExtentRow {
  uint64_t offset = 0;
  uint64_t length = 0;
  uint64_t object = 0;
  uint64_t object_offset = 0;
  uint64_t end() const noexcept { return offset + length; }
};

/// Rows of extents: those of one file never overlap. Reference counts are the caller's business.
/// Failures are kept by the Txn.
class ExtentStore {
 public:
  explicit ExtentStore(Txn& txn) : txn_(txn) {}

  /// Extents that touch [begin, end), whole, in order, at most `limit`.
  std::vector<ExtentRow> overlapping(InodeNo ino, uint64_t begin, uint64_t end, size_t limit);
  /// The one with the highest offset below `offset`.
  std::optional<ExtentRow> before(InodeNo ino, uint64_t offset);
  bool has_several(InodeNo ino);

  void insert(InodeNo ino, const ExtentRow& row);
  void erase(InodeNo ino, uint64_t offset);
  void resize(InodeNo ino, uint64_t offset, uint64_t length);

  struct Reference {
    InodeNo ino;
    ExtentRow extent;
  };
  /// Every extent that names the object, by file and offset.
  std::vector<Reference> references(uint64_t object);
  /// The extent at `offset` names another object from now on.
  void retarget(InodeNo ino, uint64_t offset, uint64_t object, uint64_t object_offset);

 private:
  Txn& txn_;
};

}  // namespace aster::db
