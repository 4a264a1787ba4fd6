#include "fuse/kernel/convert.h"
#include "fuse/kernel/dispatch.h"

namespace aster {
namespace {

using NewNode = Filesystem::NewNode;

uint32_t umask_of(fuse_req_t req) {
  return fuse_req_ctx(req)->umask;
}

void make(fuse_req_t req, const char* operation, NewNode node) {
  Dispatch& d = Dispatch::of(req);
  d.serve<Entry>(
      req, operation, [&](Caller who) { return d.filesystem().make(std::move(node), who); },
      [&d](Request& request, Entry entry) {
        if (request.entry(to_entry(d.ids(), d.current(entry)))) return;
        d.filesystem().forget(entry.attr.ino, 1);
      });
}

void on_mknod(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode, dev_t rdev) {
  make(req, "mknod",
       {Dispatch::of(req).ids().inode(parent),
        name,
        file_type(mode),
        mode & 07777u,
        rdev,
        {},
        umask_of(req)});
}

void on_mkdir(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode) {
  make(req, "mkdir",
       {Dispatch::of(req).ids().inode(parent),
        name,
        fs::FileType::directory,
        mode & 07777u,
        0,
        {},
        umask_of(req)});
}

void on_symlink(fuse_req_t req, const char* target, fuse_ino_t parent, const char* name) {
  make(req, "symlink",
       {Dispatch::of(req).ids().inode(parent), name, fs::FileType::symlink, 0777, 0, target, 0});
}

void on_link(fuse_req_t req, fuse_ino_t node, fuse_ino_t parent, const char* name) {
  Dispatch& d = Dispatch::of(req);
  d.serve<Entry>(
      req, "link",
      [&](Caller who) {
        return d.filesystem().link(d.ids().inode(node), d.ids().inode(parent), name, who);
      },
      [&d](Request& request, Entry entry) {
        if (request.entry(to_entry(d.ids(), d.current(entry)))) return;
        d.filesystem().forget(entry.attr.ino, 1);
      });
}

void on_unlink(fuse_req_t req, fuse_ino_t parent, const char* name) {
  Dispatch& d = Dispatch::of(req);
  d.serve(req, "unlink",
          [&](Caller who) { return d.filesystem().unlink(d.ids().inode(parent), name, who); });
}

void on_rmdir(fuse_req_t req, fuse_ino_t parent, const char* name) {
  Dispatch& d = Dispatch::of(req);
  d.serve(req, "rmdir",
          [&](Caller who) { return d.filesystem().rmdir(d.ids().inode(parent), name, who); });
}

void on_rename(fuse_req_t req, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
               const char* new_name, unsigned flags) {
  Dispatch& d = Dispatch::of(req);
  d.serve(req, "rename", [&](Caller who) {
    return d.filesystem().rename(
        {d.ids().inode(parent), name, d.ids().inode(new_parent), new_name, flags}, who);
  });
}

void on_opendir(fuse_req_t req, fuse_ino_t node, fuse_file_info* info) {
  Dispatch& d = Dispatch::of(req);
  d.serve<HandleId>(
      req, "opendir", [&](Caller who) { return d.filesystem().opendir(d.ids().inode(node), who); },
      [&d, info = *info](Request& request, HandleId handle) mutable {
        info.fh = handle;
        // Not info.cache_readdir: kernels 6.9 to 6.12 serve cached listings beyond their time, and
        // with readdirplus a listing is one request per 32 KiB anyway.
        if (!request.open(info)) d.filesystem().releasedir(handle);
      });
}

/// As many items as fit into `size` bytes, as plain entries.
std::string pack(const DirSlice& slice, size_t size) {
  std::string out(size, '\0');
  size_t used = 0;
  const auto& items = slice.page->items;
  for (size_t i = slice.begin; i < items.size(); ++i) {
    const struct stat st = to_stat(items[i].attr);
    const size_t need =
        fuse_add_direntry(nullptr, out.data() + used, size - used, items[i].name.c_str(), &st,
                          static_cast<off_t>(items[i].next));
    if (need > size - used) break;
    used += need;
  }
  out.resize(used);
  return out;
}

void on_readdir(fuse_req_t req, fuse_ino_t, size_t size, off_t offset, fuse_file_info* info) {
  Dispatch& d = Dispatch::of(req);
  d.serve<DirSlice>(
      req, "readdir",
      [&](Caller who) {
        return d.filesystem().readdir(info->fh, static_cast<uint64_t>(offset), who);
      },
      [size](Request& request, DirSlice slice) { request.buffer(pack(slice, size)); });
}

/// Likewise with attributes. Every entry but "." and ".." counts as looked up: `counted` has them.
std::string pack_plus(Dispatch& d, InodeNo directory, const DirSlice& slice, size_t size,
                      std::vector<InodeNo>& counted) {
  std::string out(size, '\0');
  size_t used = 0;
  const auto& items = slice.page->items;
  for (size_t i = slice.begin; i < items.size(); ++i) {
    const DirItem& item = items[i];
    const auto next = static_cast<off_t>(item.next);
    const size_t left = size - used;
    if (fuse_add_direntry_plus(nullptr, nullptr, 0, item.name.c_str(), nullptr, next) > left) break;
    fuse_entry_param param{};  // node 0: nothing but the name, for "." and ".."
    param.attr = to_stat(item.attr);
    if (!item.dot) {
      counted.push_back(item.attr.ino);
      const Entry entry = d.filesystem().listed(directory, item, slice.page->ticket);
      param = to_entry(d.ids(), d.current(entry));
    }
    used +=
        fuse_add_direntry_plus(nullptr, out.data() + used, left, item.name.c_str(), &param, next);
  }
  out.resize(used);
  return out;
}

void on_readdirplus(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset,
                    fuse_file_info* info) {
  Dispatch& d = Dispatch::of(req);
  d.serve<DirSlice>(
      req, "readdirplus",
      [&](Caller who) {
        return d.filesystem().readdir(info->fh, static_cast<uint64_t>(offset), who);
      },
      [&d, size, directory = d.ids().inode(node)](Request& request, DirSlice slice) {
        std::vector<InodeNo> counted;
        const std::string packed = pack_plus(d, directory, slice, size, counted);
        if (request.buffer(packed)) return;
        for (const InodeNo ino : counted) d.filesystem().forget(ino, 1);
      });
}

void on_releasedir(fuse_req_t req, fuse_ino_t, fuse_file_info* info) {
  Dispatch::of(req).filesystem().releasedir(info->fh);
  fuse_reply_err(req, 0);
}

void on_fsyncdir(fuse_req_t req, fuse_ino_t, int, fuse_file_info*) {
  Dispatch& d = Dispatch::of(req);
  d.serve(req, "fsyncdir", [&](Caller who) { return d.filesystem().fsyncdir(std::move(who)); });
}

}  // namespace

void add_dir_operations(fuse_lowlevel_ops& table) {
  table.mknod = on_mknod;
  table.mkdir = on_mkdir;
  table.symlink = on_symlink;
  table.link = on_link;
  table.unlink = on_unlink;
  table.rmdir = on_rmdir;
  table.rename = on_rename;
  table.opendir = on_opendir;
  table.readdir = on_readdir;
  table.readdirplus = on_readdirplus;
  table.releasedir = on_releasedir;
  table.fsyncdir = on_fsyncdir;
}

}  // namespace aster
