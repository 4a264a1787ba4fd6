#include "server/primary/keeping.h"

namespace aster::primary {
namespace {

using db::InodeRow;
using db::KeptKind;
using db::KeptRow;
using fs::FileType;

/// A file in more pieces gets no versions: each of them would cost as many rows.
constexpr size_t kVersionExtentsMax = 16384;
constexpr size_t kExtentsPage = 1024;

bool is_directory(const InodeRow& row) {
  return row.attr.type == FileType::directory;
}

bool older_than(const Mutation& m, int64_t since, std::chrono::nanoseconds age) {
  return m.now - since >= age.count();
}

bool worth_keeping(Mutation& m, const InodeRow& row, const LostName& lost) {
  if (is_directory(row) && m.kept.has_children(row.attr.ino)) return true;
  if (m.keep.trash_age.count() == 0 || lost.skip_trash) return false;
  // What a program replaces over and over is kept as rarely as versions are.
  const auto age = lost.replaced ? std::max(m.keep.trash_min_age, m.keep.version_interval)
                                 : m.keep.trash_min_age;
  if (!older_than(m, row.attr.btime, age)) return false;
  return m.settings.effective(lost.parent, kTrashSetting) != "off";
}

/// The content, not yet changed, is worth a version.
bool worth_a_version(Mutation& m, const InodeRow& row, bool always) {
  if (m.keep.versions == 0 || row.attr.allocated == 0 || row.attr.nlink == 0) return false;
  if (always) return true;
  if (!older_than(m, row.attr.btime, m.keep.version_interval)) return false;
  const auto last = m.kept.of_parent(row.attr.ino, KeptKind::version, 0, 1);
  return last.empty() || older_than(m, last[0].at, m.keep.version_interval);
}

/// Those over the limit go, the oldest first.
void limit_versions(Mutation& m, InodeNo file) {
  const auto all =
      m.kept.of_parent(file, KeptKind::version, 0, size_t{m.keep.versions} + kExtentsPage);
  for (size_t i = m.keep.versions; i < all.size(); ++i) m.kept.doom(all[i].id);
}

}  // namespace

PolicyId chosen_policy(Mutation& m, InodeNo directory) {
  if (!m.options.directory_policies) return PolicyId();
  const std::optional<std::string> id = m.settings.effective(directory, kPolicySetting);
  return PolicyId(id ? std::strtoull(id->c_str(), nullptr, 10) : 0);
}

PolicyId chosen_policy(Mutation& m, const InodeRow& row) {
  if (is_directory(row)) return chosen_policy(m, row.attr.ino);
  return m.options.directory_policies ? row.policy : PolicyId();
}

bool keep_in_trash(Mutation& m, const InodeRow& row, const LostName& lost) {
  if (!worth_keeping(m, row, lost)) return false;
  KeptRow kept;
  kept.ino = row.attr.ino;
  kept.workspace = row.workspace;
  kept.kind = KeptKind::trash;
  kept.parent = lost.parent;
  kept.name = lost.name;
  kept.at = m.now;
  kept.bytes = row.attr.allocated;
  m.kept.insert(kept);
  m.usage.inodes -= 1;
  m.charge(row.attr.ino, -static_cast<int64_t>(row.attr.allocated));
  return true;
}

Result<void> claim_content(Mutation& m, const InodeRow& row) {
  if (row.attr.nlink != 0) return ok();
  const std::optional<KeptRow> kept = m.kept.of_inode(row.attr.ino);
  if (!kept) return ok();
  if (kept->kind == KeptKind::version) return fail(Errc::read_only, "a version does not change");
  m.kept.erase(kept->id);
  m.store.sessions.add_orphan(row.attr.ino, m.now);
  m.usage.inodes += 1;
  m.charge(row.attr.ino, static_cast<int64_t>(row.attr.allocated));
  return ok();
}

void keep_version(Mutation& m, const InodeRow& row, bool always) {
  if (!worth_a_version(m, row, always)) return;
  const InodeNo file = row.attr.ino;
  if (m.store.extents.overlapping(file, 0, fs::kFileSizeMax, kVersionExtentsMax + 1).size() >
      kVersionExtentsMax) {
    return;
  }
  InodeRow version = row;
  version.guid = Guid::random();
  version.attr.ino = InodeNo();
  version.attr.nlink = 0;
  m.store.inodes.insert(version);
  ExtentMap map(m.store, version.attr.ino);
  copy_all_extents(m, file, map);
  map.settle(m.now);
  KeptRow kept;
  kept.ino = version.attr.ino;
  kept.workspace = row.workspace;
  kept.kind = KeptKind::version;
  kept.parent = file;
  kept.at = m.now;
  kept.bytes = row.attr.allocated;
  m.kept.insert(kept);
  limit_versions(m, file);
}

void copy_all_extents(Mutation& m, InodeNo source, ExtentMap& map) {
  for (uint64_t at = 0;;) {
    const auto rows = m.store.extents.overlapping(source, at, fs::kFileSizeMax, kExtentsPage);
    for (const db::ExtentRow& row : rows) map.fill(row);
    if (rows.size() < kExtentsPage) return;
    at = rows.back().end();
  }
}

}  // namespace aster::primary
