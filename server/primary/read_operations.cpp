#include "server/primary/read_operations.h"

#include <algorithm>

#include "protocol/fs/acl.h"
#include "server/db/tree_quota_store.h"
#include "server/primary/mutation.h"
#include "server/primary/object_backend.h"
#include "server/primary/virtual_attributes.h"

namespace aster::primary {
namespace {

/// What a workspace without a measurable backend shows as free. Not a limit; large enough that no
/// installer refuses, small enough not to look absurd.
constexpr uint64_t kUnknownFree = 1ull << 40;

constexpr size_t kAttrSize = 320;  // measured on encoded attributes, rounded up

/// Base64 in JSON where the bytes are no UTF-8, escapes where they are.
size_t text_size(const std::string& text) {
  return text.size() * 6 + 16;
}

struct Sizer {
  size_t operator()(const fs::Empty&) const { return 16; }
  size_t operator()(const fs::Attr& a) const {
    return kAttrSize + text_size(a.target) + text_size(a.acl) + text_size(a.default_acl);
  }
  size_t operator()(const fs::DirPage& page) const {
    size_t bytes = 64;
    for (const fs::DirEntry& e : page.entries) {
      bytes += 32 + text_size(e.name) + (*this)(e.attr);
    }
    return bytes;
  }
  size_t operator()(const fs::XattrValue& v) const { return text_size(v.value); }
  size_t operator()(const fs::XattrNames& names) const {
    size_t bytes = 16;
    for (const std::string& name : names.names) bytes += text_size(name);
    return bytes;
  }
  size_t operator()(const fs::Manifest& m) const {
    size_t bytes = (*this)(m.attr) + m.extents.size() * 160;
    for (const fs::ObjectAccess& o : m.objects) {
      bytes += 200 + o.url.size() + o.crc32c.size() * 6;
    }
    return bytes;
  }
  size_t operator()(const fs::StatFsAnswer&) const { return 96; }
  size_t operator()(const fs::UploadGrants& g) const { return 64 + g.grants.size() * 512; }
  size_t operator()(const fs::Removed&) const { return 64; }
  size_t operator()(const fs::InodeRange&) const { return 64; }
  size_t operator()(const fs::KeptPage& page) const {
    size_t bytes = 64;
    for (const fs::Kept& e : page.entries) {
      bytes += 96 + text_size(e.name) + text_size(e.path) + (*this)(e.attr);
    }
    return bytes;
  }
  size_t operator()(const fs::Counted&) const { return 64; }
  size_t operator()(const fs::Renamed& r) const { return 64 + (*this)(r.moved); }
};

/// What is used, and what more there may be.
struct Room {
  uint64_t used = 0;
  uint64_t free = 0;
};

/// Below a folder with a quota that is the drive: what is used there, and free in each that it lies
/// in.
Room narrowed(ReadContext& c, InodeNo ino, Room room) {
  db::TreeQuotaStore trees(c.store.txn);
  bool innermost = true;
  for (const db::TreeQuota& tree : trees.chain(trees.tree_of(ino))) {
    const auto used = static_cast<uint64_t>(std::max<int64_t>(0, tree.used));
    if (innermost) room.used = used;
    innermost = false;
    room.free = std::min(room.free, tree.quota > used ? tree.quota - used : 0);
  }
  return room;
}

}  // namespace

size_t estimated_size(const fs::Answer& answer) {
  return std::visit(Sizer{}, answer);
}

Result<fs::Answer> answer(ReadContext& c, const fs::Lookup& op) {
  ASTER_TRY(check_name(op.name));
  ASTER_TRY(const db::InodeRow parent, find_directory(c.store, c.caller, op.parent));
  std::optional<db::InodeRow> child = c.store.inodes.child(parent.attr.ino, op.name);
  if (!child) return fail(Errc::not_found);
  return fs::Answer(std::move(child->attr));
}

Result<fs::Answer> answer(ReadContext& c, const fs::GetAttr& op) {
  ASTER_TRY(db::InodeRow row, find_inode(c.store, c.caller, op.ino));
  return fs::Answer(std::move(row.attr));
}

Result<fs::Answer> answer(ReadContext& c, const fs::ReadDir& op) {
  if (op.limit == 0) return fail(Errc::bad_request, "readdir of no entries");
  ASTER_TRY(const db::InodeRow row, find_directory(c.store, c.caller, op.ino));
  const size_t limit = std::min<size_t>(op.limit, fs::kReadDirMax);
  fs::DirPage page;
  page.parent = row.parent;
  // One more than asked says whether this is the end.
  if (op.after <= INT64_MAX) page.entries = c.store.inodes.list(op.ino, op.after, limit + 1);
  page.end = page.entries.size() <= limit;
  if (!page.end) page.entries.resize(limit);
  return fs::Answer(std::move(page));
}

Result<fs::Answer> answer(ReadContext& c, const fs::GetXattr& op) {
  ASTER_TRY(const db::InodeRow row, find_inode(c.store, c.caller, op.ino));
  if (fs::is_acl_xattr(op.name)) {
    const std::string& list = op.name == fs::kAclXattr ? row.attr.acl : row.attr.default_acl;
    if (list.empty()) return fail(Errc::no_attribute);
    return fs::Answer(fs::XattrValue{list});
  }
  if (is_virtual_attribute(op.name)) {
    ASTER_TRY(std::string text, virtual_attribute(c, row, op.name));
    return fs::Answer(fs::XattrValue{std::move(text)});
  }
  std::optional<std::string> value = c.store.inodes.xattr(row.attr.ino, op.name);
  if (!value) return fail(Errc::no_attribute);
  return fs::Answer(fs::XattrValue{std::move(*value)});
}

Result<fs::Answer> answer(ReadContext& c, const fs::ListXattr& op) {
  ASTER_TRY(const db::InodeRow row, find_inode(c.store, c.caller, op.ino));
  fs::XattrNames names{c.store.inodes.xattr_names(row.attr.ino)};
  if (!row.attr.acl.empty()) names.names.emplace_back(fs::kAclXattr);
  if (!row.attr.default_acl.empty()) names.names.emplace_back(fs::kDefaultAclXattr);
  return fs::Answer(std::move(names));
}

Result<fs::Answer> answer(ReadContext& c, const fs::StatFs& op) {
  ASTER_TRY(const db::InodeRow row, find_inode(c.store, c.caller, op.ino));
  const std::optional<db::Usage> usage = c.store.workspaces.usage(row.workspace);
  const uint64_t used = usage ? static_cast<uint64_t>(std::max<int64_t>(0, usage->bytes)) : 0;
  uint64_t free = kUnknownFree;
  const RouteRequest smallest{c.caller.user, row.workspace, 0, {}};
  if (const Result<PolicyId> policy = c.backends.route(smallest); policy.ok()) {
    const auto capacity = c.backends.capacity(*policy);
    if (capacity.ok()) free = capacity->free;
  }
  const uint64_t quota = c.store.workspaces.quota(row.workspace);
  if (quota != 0) free = std::min(free, quota > used ? quota - used : 0);
  // What people see is their own use; other tenants of the same disk are only less free space.
  const Room room = narrowed(c, row.attr.ino, {used, free});
  fs::StatFsAnswer statfs;
  statfs.free_bytes = room.free;
  statfs.total_bytes = room.used > UINT64_MAX - room.free ? UINT64_MAX : room.used + room.free;
  statfs.files = usage ? static_cast<uint64_t>(std::max<int64_t>(0, usage->inodes)) : 0;
  return fs::Answer(statfs);
}

}  // namespace aster::primary
