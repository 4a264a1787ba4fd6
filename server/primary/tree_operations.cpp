#include "server/primary/tree_operations.h"

#include "protocol/fs/acl.h"
#include "server/primary/keeping.h"
#include "server/primary/tree_charges.h"

namespace aster::primary {
namespace {

using db::InodeRow;
using fs::FileType;

constexpr uint32_t kModeMask = 07777;

Result<void> check_create(const fs::Create& op) {
  ASTER_TRY(check_name(op.name));
  if (op.type != FileType::symlink) {
    if (!op.target.empty()) return fail(Errc::bad_request, "only symlinks have a target");
    return ok();
  }
  if (op.target.size() > fs::kSymlinkMax) return fail(Errc::name_too_long, "symlink target");
  if (op.target.empty() || op.target.find('\0') != std::string::npos) {
    return fail(Errc::bad_request, "not a symlink target");
  }
  return ok();
}

InodeRow new_inode(const fs::Create& op, uint64_t workspace, int64_t now) {
  InodeRow row;
  row.guid = Guid::random();
  row.workspace = workspace;
  fs::Attr& a = row.attr;
  a.type = op.type;
  a.mode = op.mode & kModeMask;
  a.uid = op.uid;
  a.gid = op.gid;
  a.rdev = op.rdev;
  a.target = op.target;
  a.size = op.target.size();
  a.atime = a.mtime = a.ctime = a.btime = now;
  a.nlink = 1;
  a.data_version = a.change = 1;
  if (op.type == FileType::directory) {
    a.nlink = 2;
    row.parent = op.parent;
  }
  return row;
}

/// The common part of Unlink and Rmdir once the rules are kept.
fs::Removed remove_entry(Mutation& m, InodeRow& parent, InodeRow& child, const LostName& lost) {
  const std::string_view name = lost.name;
  m.store.inodes.remove_entry(parent.attr.ino, name);
  if (child.attr.type == FileType::directory) parent.attr.nlink -= 1;
  journal_entry(m, child, parent, name);
  const fs::Removed removed = m.drop_name(child, lost);
  m.save_parent(parent);
  m.entry_changed(parent.attr.ino, name);
  return removed;
}

}  // namespace

void add_entry(Mutation& m, InodeRow& parent, std::string_view name, const InodeRow& child) {
  parent.last_cookie += 1;
  m.store.inodes.add_entry(parent.attr.ino, name, child.attr.ino, parent.last_cookie);
  if (child.attr.type == FileType::directory) parent.attr.nlink += 1;
  m.save_parent(parent);
  m.entry_changed(parent.attr.ino, name);
}

void journal_entry(Mutation& m, const InodeRow& child, const InodeRow& parent,
                   std::string_view name) {
  m.changes.inode = child.guid;
  m.changes.parent = parent.guid;
  m.changes.name = name;
}

InodeRow make_root(db::FsStore& store, uint64_t workspace, int64_t now) {
  fs::Create op;
  op.type = FileType::directory;
  op.mode = 0755;
  InodeRow root = new_inode(op, workspace, now);
  store.inodes.insert(root);
  root.parent = root.attr.ino;
  store.inodes.update(root);
  return root;
}

Result<fs::Answer> apply(Mutation& m, const fs::Create& op) {
  ASTER_TRY(check_create(op));
  ASTER_TRY(InodeRow parent, m.parent(op.parent));
  if (std::optional<InodeRow> existing = m.store.inodes.child(op.parent, op.name)) {
    if (op.exclusive) return fail(Errc::exists);
    return fs::Answer(std::move(existing->attr));
  }
  InodeRow child = new_inode(op, m.caller.workspace, op.time.value_or(m.now));
  if (op.ino) {
    // A number is used once. Its operation id answers whoever repeats the request.
    if (!m.store.inodes.is_reserved(*op.ino)) {
      return fail(Errc::bad_request, "the inode number was not reserved, or is in use");
    }
    child.attr.ino = *op.ino;
  }
  fs::inherit(parent.attr, op.umask, child.attr);
  if (op.type == FileType::regular) child.policy = chosen_policy(m, op.parent);
  m.store.inodes.insert(child);
  join_tree(m, child.attr.ino, op.parent);
  add_entry(m, parent, op.name, child);
  journal_entry(m, child, parent, op.name);
  m.usage.inodes += 1;
  // A mount makes names by itself only where it knows what they inherit.
  if (op.type == FileType::directory) child.attr.own_policy = bool(chosen_policy(m, op.parent));
  return fs::Answer(std::move(child.attr));
}

Result<fs::Answer> apply(Mutation& m, const fs::Link& op) {
  ASTER_TRY(check_name(op.name));
  ASTER_TRY(InodeRow child, m.inode(op.ino));
  ASTER_TRY(InodeRow parent, m.parent(op.parent));
  if (child.attr.type == FileType::directory) return fail(Errc::not_permitted);
  if (child.attr.nlink == 0) return fail(Errc::not_found, "the inode has no name any more");
  if (child.attr.nlink >= fs::kLinkMax) return fail(Errc::too_many_links);
  if (m.store.inodes.child(op.parent, op.name)) return fail(Errc::exists);
  ASTER_TRY(check_same_tree(m, child.attr.ino, op.parent));
  child.attr.nlink += 1;
  m.save(child);
  add_entry(m, parent, op.name, child);
  journal_entry(m, child, parent, op.name);
  return fs::Answer(std::move(child.attr));
}

Result<fs::Answer> apply(Mutation& m, const fs::Unlink& op) {
  ASTER_TRY(check_name(op.name));
  ASTER_TRY(InodeRow parent, m.parent(op.parent));
  std::optional<InodeRow> child = m.store.inodes.child(op.parent, op.name);
  if (!child || (op.only && child->attr.ino != *op.only)) return fail(Errc::not_found);
  if (child->attr.type == FileType::directory) return fail(Errc::is_directory);
  const LostName lost{op.parent, op.name, op.hold, op.skip_trash};
  return fs::Answer(remove_entry(m, parent, *child, lost));
}

Result<fs::Answer> apply(Mutation& m, const fs::Rmdir& op) {
  ASTER_TRY(check_name(op.name));
  ASTER_TRY(InodeRow parent, m.parent(op.parent));
  std::optional<InodeRow> child = m.store.inodes.child(op.parent, op.name);
  if (!child || (op.only && child->attr.ino != *op.only)) return fail(Errc::not_found);
  if (child->attr.type != FileType::directory) return fail(Errc::not_directory);
  if (m.store.inodes.has_entries(child->attr.ino)) return fail(Errc::not_empty);
  const LostName lost{op.parent, op.name, false, op.skip_trash};
  return fs::Answer(remove_entry(m, parent, *child, lost));
}

}  // namespace aster::primary
