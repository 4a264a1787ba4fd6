#include <fcntl.h>

#include <cstring>

#include "fuse/kernel/dispatch.h"

namespace aster {
namespace {

/// How long the kernel may believe in the tree, seconds: it never changes.
constexpr double kForEver = 3600;

/// The operations underneath. Every session has the same.
fuse_lowlevel_ops below;

/// Operations on a node.
template <auto Op, int kError, class... Args>
void refuse_node(fuse_req_t req, fuse_ino_t node, Args... args) {
  if (SelfTree::owns(node)) {
    fuse_reply_err(req, kError);
  } else {
    (below.*Op)(req, node, args...);
  }
}

/// Operations on a name.
template <auto Op, int kError, class... Args>
void refuse_name(fuse_req_t req, fuse_ino_t parent, const char* name, Args... args) {
  if (SelfTree::owns(parent) || SelfTree::is_name(parent, name)) {
    fuse_reply_err(req, SelfTree::owns(parent) ? EPERM : kError);
  } else {
    (below.*Op)(req, parent, name, args...);
  }
}

void on_symlink(fuse_req_t req, const char* target, fuse_ino_t parent, const char* name) {
  if (SelfTree::owns(parent)) return void(fuse_reply_err(req, EPERM));
  if (SelfTree::is_name(parent, name)) return void(fuse_reply_err(req, EEXIST));
  below.symlink(req, target, parent, name);
}

void on_link(fuse_req_t req, fuse_ino_t node, fuse_ino_t parent, const char* name) {
  if (SelfTree::owns(node) || SelfTree::owns(parent)) return void(fuse_reply_err(req, EPERM));
  if (SelfTree::is_name(parent, name)) return void(fuse_reply_err(req, EEXIST));
  below.link(req, node, parent, name);
}

void on_rename(fuse_req_t req, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
               const char* new_name, unsigned flags) {
  if (SelfTree::owns(parent) || SelfTree::owns(new_parent) || SelfTree::is_name(parent, name) ||
      SelfTree::is_name(new_parent, new_name)) {
    return void(fuse_reply_err(req, EPERM));
  }
  below.rename(req, parent, name, new_parent, new_name, flags);
}

void reply_entry(fuse_req_t req, const SelfTree& tree, fuse_ino_t node) {
  const auto st = tree.stat(node);
  if (!st) return void(fuse_reply_err(req, ENOENT));
  fuse_entry_param entry{};
  entry.ino = node;
  entry.generation = 1;
  entry.attr = *st;
  entry.attr_timeout = entry.entry_timeout = kForEver;
  fuse_reply_entry(req, &entry);
}

void on_lookup(fuse_req_t req, fuse_ino_t parent, const char* name) {
  const SelfTree& tree = Dispatch::of(req).self();
  if (SelfTree::is_name(parent, name)) return reply_entry(req, tree, SelfTree::kDirectory);
  if (!SelfTree::owns(parent)) return below.lookup(req, parent, name);
  if (std::strcmp(name, "..") == 0) return below.lookup(req, FUSE_ROOT_ID, ".");  // NFS export
  const auto node = tree.find(name);
  if (!node) return void(fuse_reply_err(req, ENOENT));
  reply_entry(req, tree, *node);
}

void on_forget(fuse_req_t req, fuse_ino_t node, uint64_t lookups) {
  if (!SelfTree::owns(node)) return below.forget(req, node, lookups);
  fuse_reply_none(req);
}

void on_getattr(fuse_req_t req, fuse_ino_t node, fuse_file_info* info) {
  if (!SelfTree::owns(node)) return below.getattr(req, node, info);
  const auto st = Dispatch::of(req).self().stat(node);
  if (!st) return void(fuse_reply_err(req, ENOENT));
  fuse_reply_attr(req, &*st, kForEver);
}

// The handle of an open file is its text.

void on_open(fuse_req_t req, fuse_ino_t node, fuse_file_info* info) {
  if (!SelfTree::owns(node)) return below.open(req, node, info);
  Dispatch& d = Dispatch::of(req);
  const SelfFile* file = d.self().file(node);
  if (file == nullptr) return void(fuse_reply_err(req, ENOENT));
  if ((info->flags & O_ACCMODE) != O_RDONLY) return void(fuse_reply_err(req, EROFS));
  d.serve<std::string>(
      req, "open .aster", [&](Caller who) { return file->text(who); },
      [info = *info](Request& request, std::string text) mutable {
        auto kept = std::make_unique<std::string>(std::move(text));
        info.fh = reinterpret_cast<uint64_t>(kept.get());
        info.direct_io = 1;  // the kernel knows no size
        info.noflush = 1;
        if (request.open(info)) static_cast<void>(kept.release());
      });
}

void on_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset, fuse_file_info* info) {
  if (!SelfTree::owns(node)) return below.read(req, node, size, offset, info);
  const auto& text = *reinterpret_cast<const std::string*>(info->fh);
  const size_t begin = std::min(static_cast<size_t>(offset), text.size());
  fuse_reply_buf(req, text.data() + begin, std::min(size, text.size() - begin));
}

void on_release(fuse_req_t req, fuse_ino_t node, fuse_file_info* info) {
  if (!SelfTree::owns(node)) return below.release(req, node, info);
  delete reinterpret_cast<const std::string*>(info->fh);
  fuse_reply_err(req, 0);
}

void on_opendir(fuse_req_t req, fuse_ino_t node, fuse_file_info* info) {
  if (!SelfTree::owns(node)) return below.opendir(req, node, info);
  fuse_reply_open(req, info);
}

/// A name in the directory and its node.
struct Listed {
  std::string name;
  fuse_ino_t node;
  bool folder;
};

std::vector<Listed> listed(Dispatch& d) {
  std::vector<Listed> names = {{".", SelfTree::kDirectory, true}, {"..", FUSE_ROOT_ID, true}};
  const auto& files = d.self().files();
  for (size_t i = 0; i < files.size(); ++i) {
    names.push_back({files[i].name, SelfTree::node_of(i), false});
  }
  if (d.kept() != nullptr) {
    for (const char* name : {"trash", "versions"}) {
      names.push_back({name, kept_top_node(*d.kept(), name), true});
    }
  }
  return names;
}

/// One entry at `out`, or how many bytes it would take.
size_t add_entry(fuse_req_t req, std::span<char> out, const Listed& item, off_t next, bool plus) {
  struct stat st {};
  st.st_ino = item.node;
  st.st_mode = item.folder ? S_IFDIR : S_IFREG;
  const char* name = item.name.c_str();
  if (!plus) return fuse_add_direntry(req, out.data(), out.size(), name, &st, next);
  fuse_entry_param entry{};  // node 0: the name alone, no look-up is counted
  entry.attr = st;
  return fuse_add_direntry_plus(req, out.data(), out.size(), name, &entry, next);
}

void list(fuse_req_t req, size_t size, off_t offset, bool plus) {
  const std::vector<Listed> names = listed(Dispatch::of(req));
  std::string out(size, '\0');
  size_t used = 0;
  for (size_t i = static_cast<size_t>(offset); i < names.size(); ++i) {
    const std::span<char> left(out.data() + used, size - used);
    const size_t need = add_entry(req, left, names[i], static_cast<off_t>(i + 1), plus);
    if (need > left.size()) break;
    used += need;
  }
  fuse_reply_buf(req, out.data(), used);
}

void on_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset, fuse_file_info* info) {
  if (!SelfTree::owns(node)) return below.readdir(req, node, size, offset, info);
  list(req, size, offset, false);
}

void on_readdirplus(fuse_req_t req, fuse_ino_t node, size_t size, off_t offset,
                    fuse_file_info* info) {
  if (!SelfTree::owns(node)) return below.readdirplus(req, node, size, offset, info);
  list(req, size, offset, true);
}

void on_listxattr(fuse_req_t req, fuse_ino_t node, size_t size) {
  if (!SelfTree::owns(node)) return below.listxattr(req, node, size);
  if (size == 0) {
    fuse_reply_xattr(req, 0);
  } else {
    fuse_reply_buf(req, nullptr, 0);
  }
}

}  // namespace

void add_self_operations(fuse_lowlevel_ops& table) {
  using Ops = fuse_lowlevel_ops;
  below = table;
  table.lookup = on_lookup;
  table.forget = on_forget;
  table.getattr = on_getattr;
  table.open = on_open;
  table.read = on_read;
  table.release = on_release;
  table.opendir = on_opendir;
  table.readdir = on_readdir;
  table.readdirplus = on_readdirplus;
  table.listxattr = on_listxattr;
  table.symlink = on_symlink;
  table.link = on_link;
  table.rename = on_rename;
  table.mknod = refuse_name<&Ops::mknod, EEXIST>;
  table.mkdir = refuse_name<&Ops::mkdir, EEXIST>;
  table.create = refuse_name<&Ops::create, EEXIST>;
  table.unlink = refuse_name<&Ops::unlink, EPERM>;
  table.rmdir = refuse_name<&Ops::rmdir, EPERM>;
  table.setattr = refuse_node<&Ops::setattr, EPERM>;
  table.flush = refuse_node<&Ops::flush, 0>;
  table.fsync = refuse_node<&Ops::fsync, 0>;
  table.fsyncdir = refuse_node<&Ops::fsyncdir, 0>;
  table.releasedir = refuse_node<&Ops::releasedir, 0>;
  table.getlk = refuse_node<&Ops::getlk, EOPNOTSUPP>;
  table.setlk = refuse_node<&Ops::setlk, EOPNOTSUPP>;
  table.flock = refuse_node<&Ops::flock, EOPNOTSUPP>;
  table.lseek = refuse_node<&Ops::lseek, EINVAL>;
  table.getxattr = refuse_node<&Ops::getxattr, ENODATA>;
  table.setxattr = refuse_node<&Ops::setxattr, EPERM>;
  table.removexattr = refuse_node<&Ops::removexattr, EPERM>;
}

}  // namespace aster
