#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "protocol/fs/messages.h"
#include "server/db/fs_store.h"
#include "server/db/kept_store.h"
#include "server/db/tree_quota_store.h"
#include "server/primary/namespace_service.h"

/// Private to the namespace service.
namespace aster::primary {

/// bad_request or name_too_long for what cannot be a directory entry.
Result<void> check_name(std::string_view name);

/// The inode when it is in the caller's workspace, else stale_handle: what is elsewhere is not
/// there for this caller.
Result<db::InodeRow> find_inode(db::FsStore& store, const Caller& caller, InodeNo ino);
/// The same, and not_directory for other types.
Result<db::InodeRow> find_directory(db::FsStore& store, const Caller& caller, InodeNo ino);

/// What one operation tells the journal and the other sessions.
struct Changes {
  fs::Invalidation invalidation;
  std::optional<Guid> inode;
  std::optional<Guid> parent;
  std::string name;
  std::optional<Guid> new_parent;
  std::string new_name;

  bool any() const { return !invalidation.inodes.empty() || !invalidation.entries.empty(); }
};

/// A name that goes away, and how.
struct LostName {
  InodeNo parent;
  std::string_view name;
  bool hold = false;
  bool skip_trash = false;
  bool replaced = false;  ///< something else has the name now
};

/// One operation while it is applied, inside one savepoint of the writer's transaction.
class Mutation {
 public:
  Mutation(db::Txn& txn, const Caller& caller, int64_t now, const NamespaceOptions& options)
      : store(txn),
        kept(txn),
        settings(txn),
        trees(txn),
        caller(caller),
        now(now),
        options(options),
        keep(options.keep) {}

  Result<db::InodeRow> inode(InodeNo ino) { return find_inode(store, caller, ino); }
  /// A directory that may get or lose entries; not_found when it was removed.
  Result<db::InodeRow> parent(InodeNo ino);

  /// Saves an inode whose attributes or content changed: ctime (unless `keep_ctime`) and change
  /// move on, the others are told.
  void save(db::InodeRow& row, bool content = false, bool keep_ctime = false);
  /// Saves a directory whose entries changed: mtime, ctime and change move on.
  void save_parent(db::InodeRow& row);
  /// Takes one name away from `row` (all of a directory's) and saves it. Without names it goes to
  /// the trash or becomes an orphan, held by this session if asked.
  fs::Removed drop_name(db::InodeRow& row, const LostName& lost);
  /// `ino` covers so many bytes more, or less: the workspace and its quota trees are charged.
  void charge(InodeNo ino, int64_t bytes);
  /// quota_exceeded when the workspace, or a quota tree, would cover more bytes than it may, with
  /// what this mutation adds. Exact: there is one writer, and whatever fails here is undone.
  Result<void> check_quota();
  /// quota_exceeded unless `ino` may cover at least one byte more.
  Result<void> check_room(InodeNo ino);
  /// False when this database has no quota tree at all.
  bool has_trees();
  /// Tells the others that this name means something else now.
  void entry_changed(InodeNo parent, std::string_view name);

  db::FsStore store;
  db::KeptStore kept;
  db::DirectorySettings settings;
  db::TreeQuotaStore trees;
  const Caller& caller;
  const int64_t now;
  const NamespaceOptions& options;
  const KeepOptions& keep;  ///< of the options
  Changes changes;
  db::Usage usage;  ///< added to the workspace's at the end

 private:
  Result<void> check_workspace();
  Result<void> check_tree(InodeNo tree, bool grown);

  std::vector<InodeNo> grown_;  ///< quota trees that this mutation charges
  std::optional<bool> has_trees_;
};

}  // namespace aster::primary
