#include <sys/statvfs.h>

#include "fuse/kernel/convert.h"
#include "fuse/kernel/dispatch.h"

namespace aster {
namespace {

/// Unit of statfs(2).
constexpr uint64_t kStatUnit = 4096;

/// Answers with an entry; the look-up it stands for is undone when nobody took it.
auto answer_entry(Dispatch& dispatch) {
  return [&dispatch](Request& request, Entry entry) {
    if (request.entry(to_entry(dispatch.ids(), dispatch.current(entry)))) return;
    dispatch.filesystem().forget(entry.attr.ino, 1);
  };
}

auto answer_attributes(const Dispatch& dispatch) {
  return [&dispatch](Request& request, Attributes attributes) {
    const Duration ttl = dispatch.current(attributes).ttl;
    request.attr(to_stat(attributes.attr), seconds(ttl));
  };
}

void on_lookup(fuse_req_t req, fuse_ino_t parent, const char* name) {
  Dispatch& d = Dispatch::of(req);
  d.serve<Found>(
      req, "lookup",
      [&](Caller who) { return d.filesystem().lookup(d.ids().inode(parent), name, who); },
      [&d](Request& request, Found found) {
        if (found.entry) return answer_entry(d)(request, *found.entry);
        fuse_entry_param nothing{};  // node 0: the kernel remembers that the name is not there
        const Duration ttl = d.filesystem().inodes().still_believed(found.ttl);
        nothing.entry_timeout = seconds(ttl);
        if (ttl <= Duration::zero()) {
          request.error(ENOENT);
        } else {
          request.entry(nothing);
        }
      });
}

void on_forget(fuse_req_t req, fuse_ino_t node, uint64_t lookups) {
  Dispatch& d = Dispatch::of(req);
  d.filesystem().forget(d.ids().inode(node), lookups);
  fuse_reply_none(req);
}

void on_forget_multi(fuse_req_t req, size_t count, fuse_forget_data* forgets) {
  Dispatch& d = Dispatch::of(req);
  for (size_t i = 0; i < count; ++i) {
    d.filesystem().forget(d.ids().inode(forgets[i].ino), forgets[i].nlookup);
  }
  fuse_reply_none(req);
}

void on_getattr(fuse_req_t req, fuse_ino_t node, fuse_file_info*) {
  Dispatch& d = Dispatch::of(req);
  d.serve<Attributes>(
      req, "getattr", [&](Caller who) { return d.filesystem().getattr(d.ids().inode(node), who); },
      answer_attributes(d));
}

fs::SetAttr to_change(InodeNo ino, const struct stat& attr, int set) {
  const int64_t now = SystemClock().now_ns();
  fs::SetAttr change;
  change.ino = ino;
  if (set & FUSE_SET_ATTR_MODE) change.mode = attr.st_mode & 07777;
  if (set & FUSE_SET_ATTR_UID) change.uid = attr.st_uid;
  if (set & FUSE_SET_ATTR_GID) change.gid = attr.st_gid;
  if (set & FUSE_SET_ATTR_SIZE) change.size = static_cast<uint64_t>(attr.st_size);
  if (set & FUSE_SET_ATTR_ATIME) change.atime = to_ns(attr.st_atim);
  if (set & FUSE_SET_ATTR_MTIME) change.mtime = to_ns(attr.st_mtim);
  if (set & FUSE_SET_ATTR_ATIME_NOW) change.atime = now;
  if (set & FUSE_SET_ATTR_MTIME_NOW) change.mtime = now;
  return change;
}

void on_setattr(fuse_req_t req, fuse_ino_t node, struct stat* attr, int set, fuse_file_info*) {
  Dispatch& d = Dispatch::of(req);
  d.serve<Attributes>(
      req, "setattr",
      [&](Caller who) {
        return d.filesystem().setattr(to_change(d.ids().inode(node), *attr, set), who);
      },
      answer_attributes(d));
}

void on_readlink(fuse_req_t req, fuse_ino_t node) {
  Dispatch& d = Dispatch::of(req);
  d.serve<std::string>(
      req, "readlink",
      [&](Caller who) { return d.filesystem().readlink(d.ids().inode(node), who); },
      [](Request& request, std::string target) { request.readlink(target.c_str()); });
}

struct statvfs to_statvfs(const fs::StatFsAnswer& answer) {
  struct statvfs stat {};
  stat.f_bsize = kStatUnit;
  stat.f_frsize = kStatUnit;
  stat.f_blocks = answer.total_bytes / kStatUnit;
  stat.f_bfree = stat.f_bavail = answer.free_bytes / kStatUnit;
  // Inodes cost nothing: as many as bytes would allow.
  stat.f_ffree = stat.f_favail = answer.free_bytes / kStatUnit;
  stat.f_files = answer.files + stat.f_ffree;
  stat.f_namemax = fs::kNameMax;
  return stat;
}

Task<Result<fs::StatFsAnswer>> room_at(Filesystem& filesystem, InodeNo ino) {
  fs::StatFsAnswer answer = co_await filesystem.statfs_of(ino);
  co_return answer;
}

// For the drive itself without a wait: whoever lists all mounts asks for it.
void on_statfs(fuse_req_t req, fuse_ino_t node) {
  Dispatch& d = Dispatch::of(req);
  if (node == FUSE_ROOT_ID) {
    const struct statvfs stat = to_statvfs(d.filesystem().statfs());
    fuse_reply_statfs(req, &stat);
    return;
  }
  d.serve<fs::StatFsAnswer>(
      req, "statfs", [&](Caller) { return room_at(d.filesystem(), d.ids().inode(node)); },
      [](Request& request, const fs::StatFsAnswer& answer) { request.statfs(to_statvfs(answer)); });
}

}  // namespace

void add_meta_operations(fuse_lowlevel_ops& table) {
  table.lookup = on_lookup;
  table.forget = on_forget;
  table.forget_multi = on_forget_multi;
  table.getattr = on_getattr;
  table.setattr = on_setattr;
  table.readlink = on_readlink;
  table.statfs = on_statfs;
}

}  // namespace aster
