#pragma once

#include <optional>
#include <string>
#include <vector>

#include "protocol/base/ids.h"
#include "server/db/txn.h"

namespace aster::db {

/// A tree that nobody can enter any more and that is being removed.
struct PurgeRow {
  uint64_t workspace = 0;
  std::string name;  ///< for people
  int64_t started = 0;
  int64_t inodes = 0;  ///< that are left
  int64_t bytes = 0;   ///< that these cover
};

/// Rows of purges and of what they still have to do. Failures are kept by the Txn.
class PurgeStore {
 public:
  explicit PurgeStore(Txn& txn) : txn_(txn) {}

  void insert(const PurgeRow& row);
  std::vector<PurgeRow> all();
  void erase(uint64_t workspace);

  struct Directory {
    InodeNo ino;
    InodeNo parent;
    std::string name;
  };
  void push(uint64_t workspace, const Directory& directory);
  /// The one that was pushed last.
  std::optional<Directory> deepest(uint64_t workspace);
  void pop(InodeNo directory);

  /// Dooms what is kept of the workspace; how many.
  int64_t doom_kept(uint64_t workspace, size_t limit);
  bool keeps_anything(uint64_t workspace);
  /// The workspace and what is said of it elsewhere. Its inodes are gone.
  void erase_workspace(uint64_t workspace);

 private:
  Txn& txn_;
};

}  // namespace aster::db
