#include "server/primary/mutation.h"

#include "server/primary/keeping.h"

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
  if (row.attr.nlink == 0) {
    changes.invalidation.inodes.back().unlinked = true;
    if (!keep_in_trash(*this, row, lost)) store.sessions.add_orphan(row.attr.ino, now);
    if (lost.hold && caller.session) store.sessions.hold(row.attr.ino, caller.session);
  }
  return {row.attr.ino, row.attr.nlink};
}

Result<void> Mutation::check_quota() {
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
