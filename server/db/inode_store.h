#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "protocol/fs/messages.h"
#include "server/db/txn.h"

namespace aster::db {

/// An inode as it is stored: what everybody sees and what only the primary needs.
struct InodeRow {
  fs::Attr attr;
  Guid guid;
  uint64_t workspace = 0;
  InodeNo parent;            ///< of directories: ".."; else 0
  uint64_t last_cookie = 0;  ///< of directories: the highest cookie given to an entry so far
  PolicyId policy;           ///< of files: chosen by a directory above when it was made; else 0
};

/// Rows of inodes, directory entries and extended attributes. No rules: those are the namespace
/// service's. Failures are kept by the Txn.
class InodeStore {
 public:
  explicit InodeStore(Txn& txn) : txn_(txn) {}

  std::optional<InodeRow> find(InodeNo ino);
  /// The inode behind a directory's entry.
  std::optional<InodeRow> child(InodeNo parent, std::string_view name);
  /// Gives the row a number that was never used before, also in `row.attr.ino`; one that stands
  /// there already must be reserved.
  void insert(InodeRow& row);
  /// The first of `count` numbers in a row that insert() gives to nobody.
  InodeNo reserve(uint32_t count);
  /// Below the highest number given, and no inode has it now.
  bool is_reserved(InodeNo ino);
  /// Writes everything but guid, workspace, type and btime.
  void update(const InodeRow& row);
  /// Moves atime on to `atime`, never back. False when the inode is not there.
  bool touch(InodeNo ino, int64_t atime);
  /// Removes the row and its extended attributes.
  void erase(InodeNo ino);

  void add_entry(InodeNo parent, std::string_view name, InodeNo ino, uint64_t cookie);
  /// The entry keeps its cookie.
  void repoint_entry(InodeNo parent, std::string_view name, InodeNo ino);
  void remove_entry(InodeNo parent, std::string_view name);
  bool has_entries(InodeNo parent);
  /// Entries with a cookie above `after`, in that order, at most `limit`.
  std::vector<fs::DirEntry> list(InodeNo parent, uint64_t after, size_t limit);

  std::optional<std::string> xattr(InodeNo ino, std::string_view name);
  void put_xattr(InodeNo ino, std::string_view name, std::string_view value);
  /// False when it was not there.
  bool remove_xattr(InodeNo ino, std::string_view name);
  std::vector<std::string> xattr_names(InodeNo ino);

 private:
  Txn& txn_;
};

}  // namespace aster::db
