#include "server/primary/kept_operations.h"

#include <algorithm>
#include <unordered_map>

#include "server/primary/content_operations.h"
#include "server/primary/keeping.h"
#include "server/primary/tree_charges.h"
#include "server/primary/tree_operations.h"

namespace aster::primary {
namespace {

using db::InodeRow;
using db::KeptKind;
using db::KeptRow;
using fs::FileType;

constexpr size_t kDepthMax = 1024;  // directories above one that are in the trash, too
constexpr size_t kEmptiedMax = 4096;
/// Of one answer; names may take six times their size as JSON.
constexpr size_t kPageBytes = fs::kBatchBytesMax / 8;
constexpr size_t kEntryBytes = 100;

/// Paths of directories, of those in the trash as well, each looked up once.
class PathFinder {
 public:
  explicit PathFinder(db::FsStore& store) : store_(store), kept_(store.txn) {}

  /// "" for the root; nullopt when no way leads there any more.
  std::optional<std::string> path_of(InodeNo directory, size_t depth = 0) {
    const auto known = paths_.find(directory.value);
    if (known != paths_.end()) return known->second;
    std::optional<std::string> path = depth < kDepthMax ? find(directory, depth) : std::nullopt;
    paths_.emplace(directory.value, path);
    return path;
  }

 private:
  std::optional<std::string> find(InodeNo directory, size_t depth) {
    const std::optional<InodeRow> row = store_.inodes.find(directory);
    if (!row) return std::nullopt;
    if (row->parent == directory) return std::string();
    InodeNo parent = row->parent;
    std::optional<std::string> name;
    if (row->attr.nlink != 0) {
      name = kept_.entry_name(parent, directory);
    } else if (const auto kept = kept_.of_inode(directory); kept && kept->kind == KeptKind::trash) {
      parent = kept->parent;
      name = kept->name;
    }
    if (!name) return std::nullopt;
    std::optional<std::string> above = path_of(parent, depth + 1);
    if (!above) return std::nullopt;
    return *above + "/" + *name;
  }

  db::FsStore& store_;
  db::KeptStore kept_;
  std::unordered_map<uint64_t, std::optional<std::string>> paths_;
};

bool is_under(const std::string& path, const std::string& top) {
  if (!path.starts_with(top)) return false;
  return path.size() == top.size() || top.ends_with('/') || path[top.size()] == '/';
}

Error not_in_trash(uint64_t id) {
  return fail(Errc::not_found, "there is no entry " + std::to_string(id) + " in the trash");
}

Result<KeptRow> find_kept(Mutation& m, uint64_t id, KeptKind kind) {
  std::optional<KeptRow> row = m.kept.find(id);
  if (row && row->workspace == m.caller.workspace && row->kind == kind) return std::move(*row);
  if (kind == KeptKind::trash) return not_in_trash(id);
  return fail(Errc::not_found, "there is no version " + std::to_string(id));
}

/// The inode has a name again, and counts.
void bring_back(Mutation& m, const KeptRow& kept, InodeRow& row, InodeRow& parent,
                std::string_view name) {
  const bool directory = row.attr.type == FileType::directory;
  m.kept.erase(kept.id);
  row.attr.nlink = directory ? 2 : 1;
  if (directory) row.parent = parent.attr.ino;
  m.save(row);
  add_entry(m, parent, name, row);
  journal_entry(m, row, parent, name);
  m.usage.inodes += 1;
  join_tree(m, row.attr.ino, parent.attr.ino);
  m.charge(row.attr.ino, static_cast<int64_t>(row.attr.allocated));
  if (m.store.extents.has_several(row.attr.ino)) m.store.compose.enqueue(row.attr.ino, m.now);
}

/// The directory that something in the trash was in: itself, brought back, or the one that has its
/// name now.
Result<InodeRow> former_directory(Mutation& m, InodeNo ino, size_t depth = 0) {
  std::optional<InodeRow> row = m.store.inodes.find(ino);
  if (row && row->attr.nlink != 0) return std::move(*row);
  const std::optional<KeptRow> kept = m.kept.of_inode(ino);
  if (!row || !kept || kept->kind != KeptKind::trash || depth >= kDepthMax) {
    return fail(Errc::not_found, "the directory it was in is gone; restore it to another place");
  }
  ASTER_TRY(InodeRow parent, former_directory(m, kept->parent, depth + 1));
  if (std::optional<InodeRow> other = m.store.inodes.child(parent.attr.ino, kept->name)) {
    if (other->attr.type == FileType::directory) return std::move(*other);
    return fail(Errc::exists,
                "'" + kept->name + "' is no directory any more; restore it to another place");
  }
  bring_back(m, *kept, *row, parent, kept->name);
  return std::move(*row);
}

fs::Kept shown(const KeptRow& row, fs::Attr attr) {
  fs::Kept kept;
  kept.id = row.id;
  kept.parent = row.parent;
  kept.name = row.name;
  kept.at = row.at;
  kept.attr = std::move(attr);
  return kept;
}

}  // namespace

Result<fs::Answer> answer(ReadContext& c, const fs::ListTrash& op) {
  if (op.limit == 0) return fail(Errc::bad_request, "list of no entries");
  const size_t limit = std::min<size_t>(op.limit, fs::kReadDirMax);
  db::KeptStore kept(c.store.txn);
  std::vector<KeptRow> rows;
  if (op.parent) {
    ASTER_TRY(const InodeRow parent, find_directory(c.store, c.caller, *op.parent));
    rows = kept.of_parent(parent.attr.ino, KeptKind::trash, op.before, limit);
  } else {
    rows = kept.latest({c.caller.workspace, KeptKind::trash, op.before, limit});
  }
  PathFinder paths(c.store);
  fs::KeptPage page;
  size_t bytes = 0;
  if (rows.size() == limit) page.next = rows.back().id;
  for (const KeptRow& row : rows) {
    if (op.tops && kept.of_inode(row.parent)) continue;
    std::optional<InodeRow> inode = c.store.inodes.find(row.ino);
    if (!inode) return fail(Errc::internal, "inode in the trash is gone");
    const std::optional<std::string> above = paths.path_of(row.parent);
    fs::Kept entry = shown(row, std::move(inode->attr));
    if (above) entry.path = *above + "/" + row.name;
    if (!op.under.empty() && (!above || !is_under(entry.path, op.under))) continue;
    bytes += kEntryBytes + entry.path.size() + entry.name.size();
    page.entries.push_back(std::move(entry));
    if (bytes < kPageBytes) continue;
    page.next = row.id;  // long paths: fewer of them
    break;
  }
  return fs::Answer(std::move(page));
}

Result<fs::Answer> answer(ReadContext& c, const fs::ListVersions& op) {
  ASTER_TRY(const InodeRow file, find_inode(c.store, c.caller, op.ino));
  if (file.attr.type == FileType::directory) return fail(Errc::is_directory);
  fs::KeptPage page;
  db::KeptStore kept(c.store.txn);
  for (const KeptRow& row : kept.of_parent(file.attr.ino, KeptKind::version, 0, fs::kReadDirMax)) {
    std::optional<InodeRow> inode = c.store.inodes.find(row.ino);
    if (!inode) return fail(Errc::internal, "inode of a version is gone");
    page.entries.push_back(shown(row, std::move(inode->attr)));
  }
  return fs::Answer(std::move(page));
}

Result<fs::Answer> apply(Mutation& m, const fs::RestoreTrash& op) {
  ASTER_TRY(const KeptRow kept, find_kept(m, op.id, KeptKind::trash));
  ASTER_TRY(InodeRow row, m.inode(kept.ino));
  const std::string name = op.name.empty() ? kept.name : op.name;
  ASTER_TRY(check_name(name));
  Result<InodeRow> parent = op.parent ? m.parent(*op.parent) : former_directory(m, kept.parent);
  if (!parent.ok()) return parent.error();
  if (m.store.inodes.child(parent->attr.ino, name)) {
    return fail(Errc::exists, "'" + name + "' is there; restore to another name");
  }
  bring_back(m, kept, row, *parent, name);
  return fs::Answer(std::move(row.attr));
}

Result<fs::Answer> apply(Mutation& m, const fs::EmptyTrash& op) {
  if (op.id != 0) {
    ASTER_TRY(const KeptRow kept, find_kept(m, op.id, KeptKind::trash));
    m.kept.doom(kept.id);
    return fs::Answer(fs::Counted{1, false});
  }
  const int64_t count =
      m.kept.doom_until(m.caller.workspace, KeptKind::trash, op.until, kEmptiedMax);
  return fs::Answer(fs::Counted{static_cast<uint64_t>(count), count == kEmptiedMax});
}

Result<fs::Answer> apply(Mutation& m, const fs::RestoreVersion& op) {
  ASTER_TRY(const KeptRow kept, find_kept(m, op.id, KeptKind::version));
  ASTER_TRY(const InodeRow version, m.inode(kept.ino));
  ASTER_TRY(InodeRow file, m.inode(kept.parent));
  if (file.attr.nlink == 0) {
    return fail(Errc::not_found, "its file is deleted; restore that first");
  }
  keep_version(m, file, true);
  ExtentMap map(m.store, file.attr.ino);
  map.punch(0, fs::kFileSizeMax);
  copy_all_extents(m, kept.ino, map);
  settle_extents(m, file, map);
  file.attr.size = version.attr.size;
  file.attr.data_version += 1;
  file.attr.mtime = m.now;
  m.save(file, true);
  m.changes.inode = file.guid;
  if (m.store.extents.has_several(file.attr.ino)) m.store.compose.enqueue(file.attr.ino, m.now);
  return fs::Answer(std::move(file.attr));
}

}  // namespace aster::primary
