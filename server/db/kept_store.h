#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/db/inode_store.h"
#include "server/db/txn.h"

namespace aster::db {

enum class KeptKind : uint8_t { trash, version, doomed };

/// An inode without a name that is kept: something deleted, or an earlier content of a file. It is
/// in no counter of its workspace.
struct KeptRow {
  uint64_t id = 0;  ///< grows with time
  InodeNo ino;
  uint64_t workspace = 0;
  KeptKind kind = KeptKind::trash;
  InodeNo parent;    ///< of trash: the directory it was in; of versions: the file
  std::string name;  ///< of trash
  int64_t at = 0;    ///< unix ns
  uint64_t bytes = 0;
};

/// Rows of kept inodes. Failures are kept by the Txn.
class KeptStore {
 public:
  explicit KeptStore(Txn& txn) : txn_(txn) {}

  /// Returns its id; that of `row` does not matter.
  uint64_t insert(const KeptRow& row);
  std::optional<KeptRow> find(uint64_t id);
  std::optional<KeptRow> of_inode(InodeNo ino);
  void erase(uint64_t id);

  struct Page {
    uint64_t workspace = 0;
    KeptKind kind = KeptKind::trash;
    uint64_t before = 0;  ///< ids below this; 0 = all
    size_t limit = 0;
  };
  /// The latest first.
  std::vector<KeptRow> latest(const Page& page);
  /// Those of `parent`, the latest first.
  std::vector<KeptRow> of_parent(InodeNo parent, KeptKind kind, uint64_t before, size_t limit);
  /// Of any kind.
  bool has_children(InodeNo parent);

  void doom(uint64_t id);
  /// Dooms those of the `limit` oldest ones of a kind that are from `until` or before; how many.
  int64_t doom_until(uint64_t workspace, KeptKind kind, int64_t until, size_t limit);
  /// Dooms what belongs to something doomed; how many.
  int64_t doom_below(size_t limit);
  /// Dooms the versions of a file.
  void doom_versions(InodeNo file);
  /// Doomed, held by nobody, with nothing kept that was in it.
  std::vector<KeptRow> removable(size_t limit);
  /// Those that keep anything.
  std::vector<uint64_t> workspaces();
  /// Of one workspace, doomed ones not counted.
  uint64_t bytes(uint64_t workspace);
  struct Oldest {
    uint64_t id = 0;
    uint64_t bytes = 0;
  };
  /// Those with bytes, the oldest first.
  std::vector<Oldest> oldest(uint64_t workspace, size_t limit);

  /// The name of `ino` in the directory `parent`. Looks through it.
  std::optional<std::string> entry_name(InodeNo parent, InodeNo ino);

 private:
  Txn& txn_;
};

/// What people said with attributes of directories about everything below.
class DirectorySettings {
 public:
  explicit DirectorySettings(Txn& txn) : txn_(txn) {}

  void put(InodeNo directory, std::string_view name, std::string_view value);
  /// False when it was not there.
  bool remove(InodeNo directory, std::string_view name);
  void forget(InodeNo directory);
  std::optional<std::string> own(InodeNo directory, std::string_view name);
  /// What holds in `directory`: its own or the nearest one above it.
  std::optional<std::string> effective(InodeNo directory, std::string_view name);

 private:
  Txn& txn_;
};

}  // namespace aster::db
