#include "server/primary/mutation.h"

#include <algorithm>

#include "server/primary/keeping.h"
#include "server/primary/tree_charges.h"

namespace aster::primary {

Result<void> check_name(std::string_view name) {
  if (name.size() > fs::kNameMax) return fail(Errc::name_too_long, "name over 255 bytes");
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string_view::npos ||
      name.find('\0') != std::string_view::npos) {
    return fail(Errc::bad_request, "not a file name");
  }
  return ok();
}

Result<db::InodeRow> find_inode(db::FsStore& store, const Caller& caller, InodeNo ino) {
  std::optional<db::InodeRow> row = store.inodes.find(ino);
  if (!row || row->workspace != caller.workspace) {
    return fail(Errc::stale_handle, "inode " + std::to_string(ino.value));
  }
  return std::move(*row);
}

Result<db::InodeRow> find_directory(db::FsStore& store, const Caller& caller, InodeNo ino) {
  ASTER_TRY(db::InodeRow row, find_inode(store, caller, ino));
  if (row.attr.type != fs::FileType::directory) return fail(Errc::not_directory);
  return row;
}

Result<db::InodeRow> Mutation::parent(InodeNo ino) {
  ASTER_TRY(db::InodeRow row, find_directory(store, caller, ino));
  if (row.attr.nlink == 0) return fail(Errc::not_found, "the directory was removed");
  return row;
}

void Mutation::save(db::InodeRow& row, bool content, bool keep_ctime) {
  if (!keep_ctime) row.attr.ctime = now;
  row.attr.change += 1;
  store.inodes.update(row);
  changes.invalidation.inodes.push_back({row.attr.ino, content, false});
}

void Mutation::save_parent(db::InodeRow& row) {
  row.attr.mtime = now;
  save(row);
}

fs::Removed Mutation::drop_name(db::InodeRow& row, const LostName& lost) {
  const bool directory = row.attr.type == fs::FileType::directory;
  row.attr.nlink = directory ? 0 : row.attr.nlink - 1;
  save(row);
  if (directory) end_tree(*this, row.attr.ino);
  if (row.attr.nlink == 0) {
    changes.invalidation.inodes.back().unlinked = true;
    if (!keep_in_trash(*this, row, lost)) store.sessions.add_orphan(row.attr.ino, now);
    if (lost.hold && caller.session) store.sessions.hold(row.attr.ino, caller.session);
  }
  return {row.attr.ino, row.attr.nlink};
}

bool Mutation::has_trees() {
  if (!has_trees_) has_trees_ = trees.any();
  return *has_trees_;
}

void Mutation::charge(InodeNo ino, int64_t bytes) {
  usage.bytes += bytes;
  if (bytes == 0 || !has_trees()) return;
  const InodeNo tree = trees.tree_of(ino);
  if (tree.value == 0) return;
  trees.charge(tree, bytes);
  if (bytes > 0 && std::find(grown_.begin(), grown_.end(), tree) == grown_.end()) {
    grown_.push_back(tree);
  }
}

Result<void> Mutation::check_quota() {
  if (usage.bytes > 0) ASTER_TRY(check_workspace());
  for (const InodeNo tree : grown_) ASTER_TRY(check_tree(tree, true));
  return ok();
}

Result<void> Mutation::check_room(InodeNo ino) {
  ASTER_TRY(check_workspace());
  if (!has_trees()) return ok();
  return check_tree(trees.tree_of(ino), false);
}

Result<void> Mutation::check_tree(InodeNo tree, bool grown) {
  for (const db::TreeQuota& at : trees.chain(tree)) {
    const int64_t limit = static_cast<int64_t>(at.quota) - (grown ? 0 : 1);
    if (at.used <= limit) continue;
    if (at.used - trees.bytes_of_removed(at.root) <= limit) continue;
    // Its name only: the caller may be limited to something below it.
    const std::string path = trees.path_of(at.root);
    return fail(Errc::quota_exceeded, "the quota of " + std::to_string(at.quota) +
                                          " bytes of the folder '" +
                                          path.substr(path.rfind('/') + 1) + "' is used up");
  }
  return ok();
}

Result<void> Mutation::check_workspace() {
  const uint64_t quota = store.workspaces.quota(caller.workspace);
  if (quota == 0) return ok();
  const std::optional<db::Usage> before = store.workspaces.usage(caller.workspace);
  const int64_t wanted = (before ? before->bytes : 0) + usage.bytes;
  // A grant asks with nothing added: then there must be room for one byte at least.
  const int64_t limit = static_cast<int64_t>(quota) - (usage.bytes > 0 ? 0 : 1);
  if (wanted <= limit) return ok();
  if (wanted - store.workspaces.bytes_of_removed(caller.workspace) <= limit) return ok();
  return fail(Errc::quota_exceeded, "the quota of " + std::to_string(quota) + " bytes is used up");
}

void Mutation::entry_changed(InodeNo parent, std::string_view name) {
  changes.invalidation.entries.push_back({parent, std::string(name)});
}

}  // namespace aster::primary
