#pragma once

#include <optional>
#include <string>
#include <vector>

#include "protocol/base/ids.h"
#include "protocol/fs/messages.h"
#include "server/db/txn.h"

namespace aster::db {

enum class TreeState : uint8_t { counting, active, removing };

/// A directory whose contents may cover so many bytes and no more. Trees may lie in others: bytes
/// are charged to each of them.
struct TreeQuota {
  InodeNo root;
  uint64_t workspace = 0;
  InodeNo parent;  ///< the tree that it lies in; 0 = in none
  TreeState state = TreeState::counting;
  uint64_t quota = 0;    ///< bytes
  int64_t used = 0;      ///< as far as it is counted
  uint64_t counted = 0;  ///< inodes that were there and have been counted so far
  int64_t created = 0;   ///< unix ns
};

/// Rows of quota trees and of what is in them. An inode is a member of the innermost tree that it
/// lies in; a file keeps its tree when it gets other names. Failures are kept by the Txn.
class TreeQuotaStore {
 public:
  explicit TreeQuotaStore(Txn& txn) : txn_(txn) {}

  /// False on most drives: then nothing else needs to be asked.
  bool any();
  std::optional<TreeQuota> find(InodeNo root);
  /// By workspace and root.
  std::vector<TreeQuota> all(size_t limit, size_t offset);
  uint64_t count();
  /// The first one that is not active; of this workspace unless that is 0.
  std::optional<TreeQuota> first_unsettled(uint64_t workspace = 0);
  void insert(const TreeQuota& tree);
  void set_quota(InodeNo root, uint64_t bytes);
  void set_active(InodeNo root);
  /// From now on its members count as those of its parent.
  void begin_removal(const TreeQuota& tree);
  /// Gives `limit` members of a tree under removal to its parent; false: none was left, and the
  /// tree is gone.
  bool remove_some(const TreeQuota& tree, size_t limit);
  void forget_workspace(uint64_t workspace);

  /// The tree that what happens to this inode is charged to; 0 = none. One under removal counts as
  /// its parent.
  InodeNo tree_of(InodeNo ino);
  /// As it is stored.
  InodeNo member_of(InodeNo ino);
  /// `tree` may be 0.
  void put_member(InodeNo ino, InodeNo tree);
  /// The tree and those that it lies in, the innermost first.
  std::vector<TreeQuota> chain(InodeNo tree);
  /// To the tree and all that it lies in.
  void charge(InodeNo tree, int64_t bytes);
  /// To this one only: its parents have it already.
  void count_member(InodeNo tree, int64_t bytes);
  /// Puts a tree between `inner` and its parent.
  void enclose(const TreeQuota& inner, InodeNo outer);
  /// Bytes of files that have no name and no holder any more: they count until they are collected.
  int64_t bytes_of_removed(InodeNo tree);

  struct Step {
    InodeNo directory;
    uint64_t cookie = 0;
  };
  void push_directory(InodeNo tree, InodeNo directory);
  std::optional<Step> next_directory(InodeNo tree);
  void move_on(InodeNo tree, const Step& to);
  void pop_directory(InodeNo tree, InodeNo directory);
  struct Entry {
    InodeNo ino;
    uint64_t cookie = 0;
    fs::FileType type = fs::FileType::regular;
    int64_t allocated = 0;
    InodeNo tree;  ///< as stored
  };
  std::vector<Entry> entries(const Step& from, size_t limit);

  /// "/a/b" of a directory that has a name, "/" for a root, "?" when no way leads there.
  std::string path_of(InodeNo directory);

 private:
  Txn& txn_;
};

}  // namespace aster::db
