#include <fcntl.h>

#include <cstring>

#include "fuse/kernel/convert.h"
#include "fuse/kernel/dispatch.h"

/// `/.aster/trash` and `/.aster/versions`. Their nodes belong to SelfTree's range, so what would
/// change anything is refused there.
namespace aster {
namespace {

using Node = KeptTree::Node;
using Kind = KeptTree::Kind;

/// Below the highest bit: the kind, then the value.
constexpr int kKindShift = 60;
constexpr fuse_ino_t kValueMask = (fuse_ino_t{1} << kKindShift) - 1;
/// How long the kernel may believe names and attributes, seconds: as long as cp -r takes from the
/// listing of a directory to its files.
constexpr double kBelieved = 5;

/// The operations underneath. Every session has the same.
fuse_lowlevel_ops below;

fuse_ino_t id_of(Node node) {
  return SelfTree::kDirectory | (static_cast<fuse_ino_t>(node.kind) << kKindShift) |
         (node.value & kValueMask);
}

/// nullopt for a node of somebody else.
std::optional<Node> node_of(fuse_ino_t id) {
  const fuse_ino_t kind = (id & ~SelfTree::kDirectory) >> kKindShift;
  if (!SelfTree::owns(id) || kind == 0) return std::nullopt;
  return Node{static_cast<Kind>(kind), id & kValueMask};
}

struct stat stat_of(fuse_ino_t id, const fs::Attr& attr) {
  struct stat st = to_stat(attr);
  st.st_ino = id;
  return st;
}

fuse_entry_param entry_of(Node node, const fs::Attr& attr) {
  fuse_entry_param entry{};
  entry.ino = id_of(node);
  entry.generation = 1;
  entry.attr = stat_of(entry.ino, attr);
  entry.attr_timeout = entry.entry_timeout = kBelieved;
  return entry;
}

/// The one of the two directories that a name in `/.aster` is.
std::optional<Node> top(const KeptTree& kept, fuse_ino_t parent, const char* name) {
  if (parent != SelfTree::kDirectory) return std::nullopt;
  if (std::strcmp(name, "trash") == 0) return KeptTree::trash();
  if (std::strcmp(name, "versions") == 0) return kept.versions();
  return std::nullopt;
}

void on_lookup(fuse_req_t req, fuse_ino_t parent, const char* name) {
  Dispatch& d = Dispatch::of(req);
  if (d.kept() == nullptr) return below.lookup(req, parent, name);
  if (const auto node = top(*d.kept(), parent, name)) {
    return d.serve<fs::Attr>(
        req, "lookup .aster", [&](Caller who) { return d.kept()->getattr(*node, who); },
        [node = *node](Request& request, const fs::Attr& attr) {
          request.entry(entry_of(node, attr));
        });
  }
  const auto node = node_of(parent);
  if (!node) return below.lookup(req, parent, name);
  d.serve<KeptTree::Item>(
      req, "lookup .aster", [&](Caller who) { return d.kept()->lookup(*node, name, who); },
      [](Request& request, const KeptTree::Item& item) {
        request.entry(entry_of(item.node, item.attr));
      });
}

void on_getattr(fuse_req_t req, fuse_ino_t id, fuse_file_info* info) {
  const auto node = node_of(id);
  if (!node) return below.getattr(req, id, info);
  Dispatch& d = Dispatch::of(req);
  d.serve<fs::Attr>(
      req, "getattr .aster", [&](Caller who) { return d.kept()->getattr(*node, who); },
      [id](Request& request, const fs::Attr& attr) { request.attr(stat_of(id, attr), kBelieved); });
}

void on_readlink(fuse_req_t req, fuse_ino_t id) {
  const auto node = node_of(id);
  if (!node) return below.readlink(req, id);
  Dispatch& d = Dispatch::of(req);
  d.serve<fs::Attr>(
      req, "readlink .aster", [&](Caller who) { return d.kept()->getattr(*node, who); },
      [](Request& request, const fs::Attr& attr) { request.readlink(attr.target.c_str()); });
}

// The handle of an open file or directory is a pointer to what it reads from.

using OpenFile = std::shared_ptr<KeptTree::OpenFile>;

void on_open(fuse_req_t req, fuse_ino_t id, fuse_file_info* info) {
  const auto node = node_of(id);
  if (!node) return below.open(req, id, info);
  if ((info->flags & O_ACCMODE) != O_RDONLY) return void(fuse_reply_err(req, EROFS));
  Dispatch& d = Dispatch::of(req);
  d.serve<OpenFile>(
      req, "open .aster", [&](Caller who) { return d.kept()->open(*node, who); },
      [info = *info](Request& request, OpenFile file) mutable {
        auto kept = std::make_unique<OpenFile>(std::move(file));
        info.fh = reinterpret_cast<uint64_t>(kept.get());
        info.noflush = 1;
        if (request.open(info)) static_cast<void>(kept.release());
      });
}

void on_read(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, fuse_file_info* info) {
  if (!node_of(id)) return below.read(req, id, size, offset, info);
  const OpenFile file = *reinterpret_cast<const OpenFile*>(info->fh);
  Dispatch::of(req).serve<std::vector<Bytes>>(
      req, "read .aster",
      [&](Caller) { return file->content->read(static_cast<uint64_t>(offset), size, file->ahead); },
      [file](Request& request, const std::vector<Bytes>& pieces) { request.pieces(pieces); });
}

void on_release(fuse_req_t req, fuse_ino_t id, fuse_file_info* info) {
  if (!node_of(id)) return below.release(req, id, info);
  delete reinterpret_cast<const OpenFile*>(info->fh);
  fuse_reply_err(req, 0);
}

void on_opendir(fuse_req_t req, fuse_ino_t id, fuse_file_info* info) {
  const auto node = node_of(id);
  if (!node) return below.opendir(req, id, info);
  Dispatch& d = Dispatch::of(req);
  d.serve<KeptTree::Items>(
      req, "opendir .aster", [&](Caller who) { return d.kept()->list(*node, who); },
      [info = *info](Request& request, KeptTree::Items items) mutable {
        auto kept = std::make_unique<KeptTree::Items>(std::move(items));
        info.fh = reinterpret_cast<uint64_t>(kept.get());
        if (request.open(info)) static_cast<void>(kept.release());
      });
}

void on_releasedir(fuse_req_t req, fuse_ino_t id, fuse_file_info* info) {
  if (!node_of(id)) return below.releasedir(req, id, info);
  delete reinterpret_cast<const KeptTree::Items*>(info->fh);
  fuse_reply_err(req, 0);
}

/// One entry at `out`, or how many bytes it would take. Nobody counts look-ups of these nodes.
size_t add_entry(std::span<char> out, const KeptTree::Item* item, const char* name, off_t next,
                 bool plus) {
  fuse_entry_param entry{};  // node 0: nothing but the name, for "." and ".."
  entry.attr.st_mode = S_IFDIR;
  if (item != nullptr) entry = entry_of(item->node, item->attr);
  if (plus) return fuse_add_direntry_plus(nullptr, out.data(), out.size(), name, &entry, next);
  return fuse_add_direntry(nullptr, out.data(), out.size(), name, &entry.attr, next);
}

void list(fuse_req_t req, size_t size, off_t offset, fuse_file_info* info, bool plus) {
  const KeptTree::Items items = *reinterpret_cast<const KeptTree::Items*>(info->fh);
  std::string out(size, '\0');
  size_t used = 0;
  for (size_t i = static_cast<size_t>(offset); i < items->size() + 2; ++i) {
    const KeptTree::Item* item = i < 2 ? nullptr : &(*items)[i - 2];
    const char* name = i == 0 ? "." : i == 1 ? ".." : item->name.c_str();
    const std::span<char> left(out.data() + used, size - used);
    const size_t need = add_entry(left, item, name, static_cast<off_t>(i + 1), plus);
    if (need > left.size()) break;
    used += need;
  }
  fuse_reply_buf(req, out.data(), used);
}

void on_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, fuse_file_info* info) {
  if (!node_of(id)) return below.readdir(req, id, size, offset, info);
  list(req, size, offset, info, false);
}

void on_readdirplus(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
                    fuse_file_info* info) {
  if (!node_of(id)) return below.readdirplus(req, id, size, offset, info);
  list(req, size, offset, info, true);
}

}  // namespace

fuse_ino_t kept_top_node(const KeptTree& kept, std::string_view name) {
  return id_of(name == "trash" ? KeptTree::trash() : kept.versions());
}

void add_kept_operations(fuse_lowlevel_ops& table) {
  below = table;
  table.lookup = on_lookup;
  table.getattr = on_getattr;
  table.readlink = on_readlink;
  table.open = on_open;
  table.read = on_read;
  table.release = on_release;
  table.opendir = on_opendir;
  table.releasedir = on_releasedir;
  table.readdir = on_readdir;
  table.readdirplus = on_readdirplus;
}

}  // namespace aster
