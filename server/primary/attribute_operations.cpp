#include "server/primary/attribute_operations.h"

#include "protocol/fs/acl.h"
#include "server/primary/content_operations.h"
#include "server/primary/keeping.h"
#include "server/primary/object_backend.h"
#include "server/primary/virtual_attributes.h"

namespace aster::primary {
namespace {

using db::InodeRow;

constexpr uint32_t kSetGid = 02000;

Result<void> check_xattr_name(std::string_view name) {
  if (name.size() > fs::kXattrNameMax) return fail(Errc::name_too_long, "attribute name");
  if (name.empty() || name.find('\0') != std::string_view::npos) {
    return fail(Errc::bad_request, "not an attribute name");
  }
  if (is_virtual_attribute(name)) {
    return fail(Errc::not_permitted, std::string(name) + " is the drive's own");
  }
  return ok();
}

Result<void> check_xattr_list(Mutation& m, InodeNo ino, std::string_view added) {
  size_t bytes = added.size() + 1;
  for (const std::string& name : m.store.inodes.xattr_names(ino)) bytes += name.size() + 1;
  if (bytes > fs::kXattrListMax) return fail(Errc::no_space, "too many attributes");
  return ok();
}

/// Cuts or extends. Counts as a change of content even when the size stays: ftruncate(2) moves
/// mtime then, too.
Result<void> set_size(Mutation& m, InodeRow& row, uint64_t size, ObjectBackends& backends) {
  if (row.attr.type == fs::FileType::directory) return fail(Errc::is_directory);
  if (row.attr.type != fs::FileType::regular) {
    return fail(Errc::bad_request, "only regular files have a size to set");
  }
  if (size > row.attr.size) ASTER_TRY(check_file_size(m, row, size, backends));
  ASTER_TRY(claim_content(m, row));
  if (size < row.attr.size) {
    keep_version(m, row);
    ExtentMap map(m.store, row.attr.ino);
    map.punch(size, fs::kFileSizeMax);
    settle_extents(m, row, map);
  }
  row.attr.size = size;
  row.attr.data_version += 1;
  row.attr.mtime = m.now;
  return ok();
}

/// Linux refuses lists of symbolic links, and default lists of all but directories.
Result<void> check_acl_place(const InodeRow& row, std::string_view name) {
  if (row.attr.type == fs::FileType::symlink) return fail(Errc::unsupported);
  if (name == fs::kDefaultAclXattr && row.attr.type != fs::FileType::directory) {
    return fail(Errc::access_denied, "only directories have a default list");
  }
  return ok();
}

Result<fs::Answer> set_list(Mutation& m, InodeRow& row, const fs::SetXattr& op) {
  ASTER_TRY(check_acl_place(row, op.name));
  if (op.name == fs::kAclXattr) {
    ASTER_TRY(fs::set_acl(row.attr, op.value));
    if (op.clear_sgid) row.attr.mode &= ~kSetGid;
  } else {
    ASTER_TRY(fs::check_acl(op.value));
    row.attr.default_acl = op.value;
  }
  m.save(row);
  m.changes.inode = row.guid;
  m.changes.name = op.name;
  return fs::Answer(fs::Empty{});
}

/// The mode stays as it is, as on Linux's own file systems.
Result<fs::Answer> remove_list(Mutation& m, InodeRow& row, const std::string& name) {
  std::string& list = name == fs::kAclXattr ? row.attr.acl : row.attr.default_acl;
  if (list.empty()) return fs::Answer(fs::Empty{});
  list.clear();
  m.save(row);
  m.changes.inode = row.guid;
  m.changes.name = name;
  return fs::Answer(fs::Empty{});
}

/// What is said of a directory for everything below it.
bool is_directory_setting(std::string_view name) {
  return name == kTrashSetting || name == kPolicySetting;
}

/// A policy by its name, kept as its number: names may change.
Result<std::string> policy_number(Mutation& m, const std::string& name, ObjectBackends& backends) {
  if (!m.options.directory_policies) {
    return fail(Errc::not_permitted,
                "the administrator does not let directories choose their storage policy "
                "(server.primary.directory_policies)");
  }
  std::string known;
  for (const ObjectBackends::Place& place : backends.places()) {
    if (place.policy == name) return std::to_string(place.id.value);
    known += (known.empty() ? "" : ", ") + place.policy;
  }
  return fail(Errc::bad_request,
              "there is no storage policy '" + name + "' (known: " + known + ")");
}

/// What is stored for the value that somebody gives.
Result<std::string> stored_setting(Mutation& m, const fs::SetXattr& op, ObjectBackends& backends) {
  if (op.name == kPolicySetting) return policy_number(m, op.value, backends);
  if (op.value == "on" || op.value == "off") return op.value;
  return fail(Errc::bad_request, op.name + " is 'on' or 'off'");
}

Result<fs::Answer> set_directory_setting(Mutation& m, const fs::SetXattr& op,
                                         ObjectBackends& backends) {
  ASTER_TRY(const std::string value, stored_setting(m, op, backends));
  ASTER_TRY(InodeRow row, m.inode(op.ino));
  if (row.attr.type != fs::FileType::directory) {
    return fail(Errc::not_permitted, op.name + " is for directories");
  }
  const bool there = m.settings.own(op.ino, op.name).has_value();
  if (there && op.create_only) return fail(Errc::exists);
  if (!there && op.replace_only) return fail(Errc::no_attribute);
  m.settings.put(op.ino, op.name, value);
  m.save(row);
  m.changes.inode = row.guid;
  m.changes.name = op.name;
  return fs::Answer(fs::Empty{});
}

Result<fs::Answer> remove_directory_setting(Mutation& m, const fs::RemoveXattr& op) {
  ASTER_TRY(InodeRow row, m.inode(op.ino));
  if (row.attr.type != fs::FileType::directory) {
    return fail(Errc::not_permitted, op.name + " is for directories");
  }
  if (!m.settings.remove(op.ino, op.name)) return fail(Errc::no_attribute);
  m.save(row);
  m.changes.inode = row.guid;
  m.changes.name = op.name;
  return fs::Answer(fs::Empty{});
}

}  // namespace

Result<fs::Answer> apply(Mutation& m, const fs::SetAttr& op, ObjectBackends& backends) {
  ASTER_TRY(InodeRow row, m.inode(op.ino));
  if (op.size) ASTER_TRY(set_size(m, row, *op.size, backends));
  fs::Attr& a = row.attr;
  if (op.mode) fs::set_mode(a, *op.mode & 07777);
  if (op.uid) a.uid = *op.uid;
  if (op.gid) a.gid = *op.gid;
  if (op.atime) a.atime = *op.atime;
  if (op.mtime) a.mtime = *op.mtime;
  if (op.ctime) a.ctime = *op.ctime;
  m.save(row, op.size.has_value(), op.ctime.has_value());
  m.changes.inode = row.guid;
  return fs::Answer(std::move(row.attr));
}

Result<fs::Answer> apply(Mutation& m, const fs::SetXattr& op, ObjectBackends& backends) {
  if (op.create_only && op.replace_only) return fail(Errc::bad_request, "both flags");
  if (is_directory_setting(op.name)) return set_directory_setting(m, op, backends);
  ASTER_TRY(check_xattr_name(op.name));
  if (op.value.size() > fs::kXattrValueMax) return fail(Errc::too_large, "attribute value");
  ASTER_TRY(InodeRow row, m.inode(op.ino));
  if (fs::is_acl_xattr(op.name)) return set_list(m, row, op);
  const bool there = m.store.inodes.xattr(op.ino, op.name).has_value();
  if (there && op.create_only) return fail(Errc::exists);
  if (!there && op.replace_only) return fail(Errc::no_attribute);
  if (!there) ASTER_TRY(check_xattr_list(m, op.ino, op.name));
  m.store.inodes.put_xattr(op.ino, op.name, op.value);
  m.save(row);
  m.changes.inode = row.guid;
  m.changes.name = op.name;
  return fs::Answer(fs::Empty{});
}

Result<fs::Answer> apply(Mutation& m, const fs::RemoveXattr& op) {
  if (is_directory_setting(op.name)) return remove_directory_setting(m, op);
  ASTER_TRY(check_xattr_name(op.name));
  ASTER_TRY(InodeRow row, m.inode(op.ino));
  if (fs::is_acl_xattr(op.name)) return remove_list(m, row, op.name);
  if (!m.store.inodes.remove_xattr(op.ino, op.name)) return fail(Errc::no_attribute);
  m.save(row);
  m.changes.inode = row.guid;
  m.changes.name = op.name;
  return fs::Answer(fs::Empty{});
}

Result<fs::Answer> apply(Mutation& m, const fs::Touch& op) {
  ASTER_TRY(const InodeRow row, m.inode(op.ino));
  // One from before the last change may have been overtaken by somebody who set the time.
  if (op.atime >= row.attr.ctime) m.store.inodes.touch(row.attr.ino, op.atime);
  return fs::Answer(fs::Empty{});
}

}  // namespace aster::primary
