#include "server/db/tree_quota_store.h"

#include <algorithm>

namespace aster::db {
namespace {

constexpr int kDepthMax = 65536;

/// The trees that ?1 lies in, itself first.
#define ASTER_TREES_ABOVE                                                       \
  "WITH RECURSIVE up(root, depth) AS (SELECT ?1, 0 UNION ALL SELECT t.parent, " \
  "depth+1 FROM up JOIN quota_trees t ON t.root=up.root WHERE t.parent<>0) "

/// Those that lie in ?1, and itself.
#define ASTER_TREES_BELOW                                                      \
  "WITH RECURSIVE down(root) AS (SELECT ?1 UNION ALL SELECT t.root FROM down " \
  "JOIN quota_trees t ON t.parent=down.root) "

TreeQuota read_tree(const Query& q) {
  TreeQuota tree;
  tree.root = InodeNo(q.uint64(0));
  tree.workspace = q.uint64(1);
  tree.parent = InodeNo(q.uint64(2));
  tree.state = static_cast<TreeState>(q.int64(3));
  tree.quota = q.uint64(4);
  tree.used = q.int64(5);
  tree.counted = q.uint64(6);
  tree.created = q.int64(7);
  return tree;
}

std::vector<TreeQuota> read_all(Query q) {
  std::vector<TreeQuota> trees;
  while (q.next()) trees.push_back(read_tree(q));
  return trees;
}

std::optional<TreeQuota> read_one(Query q) {
  if (!q.next()) return std::nullopt;
  return read_tree(q);
}

}  // namespace

bool TreeQuotaStore::any() {
  return txn_.query("SELECT 1 FROM quota_trees LIMIT 1").next();
}

std::optional<TreeQuota> TreeQuotaStore::find(InodeNo root) {
  return read_one(txn_.query("SELECT * FROM quota_trees WHERE root=?1", root));
}

std::vector<TreeQuota> TreeQuotaStore::all(size_t limit, size_t offset) {
  return read_all(txn_.query(
      "SELECT * FROM quota_trees ORDER BY workspace, root LIMIT ?1 OFFSET ?2", limit, offset));
}

uint64_t TreeQuotaStore::count() {
  Query q = txn_.query("SELECT count(*) FROM quota_trees");
  return q.next() ? q.uint64(0) : 0;
}

std::optional<TreeQuota> TreeQuotaStore::first_unsettled(uint64_t workspace) {
  return read_one(txn_.query(
      "SELECT * FROM quota_trees WHERE state<>1 AND (?1=0 OR workspace=?1) ORDER BY root LIMIT 1",
      workspace));
}

void TreeQuotaStore::insert(const TreeQuota& tree) {
  txn_.exec(
      "INSERT INTO quota_trees(root, workspace, parent, state, quota, used, counted, created) "
      "VALUES (?1,?2,?3,?4,?5,?6,?7,?8)",
      tree.root, tree.workspace, tree.parent, tree.state, tree.quota, tree.used, tree.counted,
      tree.created);
}

void TreeQuotaStore::set_quota(InodeNo root, uint64_t bytes) {
  txn_.exec("UPDATE quota_trees SET quota=?2 WHERE root=?1", root, bytes);
}

void TreeQuotaStore::set_active(InodeNo root) {
  txn_.exec("UPDATE quota_trees SET state=1 WHERE root=?1", root);
}

void TreeQuotaStore::begin_removal(const TreeQuota& tree) {
  txn_.exec("DELETE FROM quota_walk WHERE tree=?1", tree.root);
  txn_.exec("UPDATE quota_trees SET parent=?2 WHERE parent=?1", tree.root, tree.parent);
  txn_.exec("UPDATE quota_trees SET state=2 WHERE root=?1", tree.root);
}

bool TreeQuotaStore::remove_some(const TreeQuota& tree, size_t limit) {
  const int64_t moved =
      tree.parent.value == 0
          ? txn_.exec(
                "DELETE FROM quota_members WHERE ino IN (SELECT ino FROM quota_members "
                "WHERE tree=?1 LIMIT ?2)",
                tree.root, limit)
          : txn_.exec(
                "UPDATE quota_members SET tree=?3 WHERE ino IN (SELECT ino FROM "
                "quota_members WHERE tree=?1 LIMIT ?2)",
                tree.root, limit, tree.parent);
  if (moved > 0) return true;
  txn_.exec("DELETE FROM quota_trees WHERE root=?1", tree.root);
  return false;
}

void TreeQuotaStore::forget_workspace(uint64_t workspace) {
  txn_.exec(
      "DELETE FROM quota_walk WHERE tree IN (SELECT root FROM quota_trees WHERE workspace=?1)",
      workspace);
  txn_.exec("UPDATE quota_trees SET state=2, parent=0 WHERE workspace=?1", workspace);
}

InodeNo TreeQuotaStore::tree_of(InodeNo ino) {
  InodeNo tree = member_of(ino);
  while (tree.value != 0) {
    Query q = txn_.query("SELECT state, parent FROM quota_trees WHERE root=?1", tree);
    if (!q.next()) return InodeNo();
    if (static_cast<TreeState>(q.int64(0)) != TreeState::removing) return tree;
    tree = InodeNo(q.uint64(1));
  }
  return tree;
}

InodeNo TreeQuotaStore::member_of(InodeNo ino) {
  Query q = txn_.query("SELECT tree FROM quota_members WHERE ino=?1", ino);
  return q.next() ? InodeNo(q.uint64(0)) : InodeNo();
}

void TreeQuotaStore::put_member(InodeNo ino, InodeNo tree) {
  if (tree.value == 0) {
    txn_.exec("DELETE FROM quota_members WHERE ino=?1", ino);
  } else {
    txn_.exec("INSERT OR REPLACE INTO quota_members(ino, tree) VALUES (?1,?2)", ino, tree);
  }
}

std::vector<TreeQuota> TreeQuotaStore::chain(InodeNo tree) {
  return read_all(txn_.query(ASTER_TREES_ABOVE
                             "SELECT t.* FROM up JOIN quota_trees t ON t.root=up.root "
                             "ORDER BY up.depth",
                             tree));
}

void TreeQuotaStore::charge(InodeNo tree, int64_t bytes) {
  txn_.exec(ASTER_TREES_ABOVE
            "UPDATE quota_trees SET used=used+?2 WHERE root IN (SELECT root FROM up)",
            tree, bytes);
}

void TreeQuotaStore::count_member(InodeNo tree, int64_t bytes) {
  txn_.exec("UPDATE quota_trees SET used=used+?2, counted=counted+1 WHERE root=?1", tree, bytes);
}

void TreeQuotaStore::enclose(const TreeQuota& inner, InodeNo outer) {
  txn_.exec("UPDATE quota_trees SET parent=?2 WHERE root=?1", inner.root, outer);
  count_member(outer, inner.used);
}

int64_t TreeQuotaStore::bytes_of_removed(InodeNo tree) {
  Query q = txn_.query(ASTER_TREES_BELOW
                       "SELECT coalesce(sum(i.allocated), 0) FROM orphans o "
                       "JOIN quota_members m ON m.ino=o.ino JOIN inodes i ON i.ino=o.ino "
                       "WHERE m.tree IN (SELECT root FROM down) "
                       "AND o.ino NOT IN (SELECT ino FROM holds)",
                       tree);
  return q.next() ? q.int64(0) : 0;
}

void TreeQuotaStore::push_directory(InodeNo tree, InodeNo directory) {
  txn_.exec("INSERT OR IGNORE INTO quota_walk(tree, directory, cookie) VALUES (?1,?2,0)", tree,
            directory);
}

std::optional<TreeQuotaStore::Step> TreeQuotaStore::next_directory(InodeNo tree) {
  Query q = txn_.query("SELECT directory, cookie FROM quota_walk WHERE tree=?1 LIMIT 1", tree);
  if (!q.next()) return std::nullopt;
  return Step{InodeNo(q.uint64(0)), q.uint64(1)};
}

void TreeQuotaStore::move_on(InodeNo tree, const Step& to) {
  txn_.exec("UPDATE quota_walk SET cookie=?3 WHERE tree=?1 AND directory=?2", tree, to.directory,
            to.cookie);
}

void TreeQuotaStore::pop_directory(InodeNo tree, InodeNo directory) {
  txn_.exec("DELETE FROM quota_walk WHERE tree=?1 AND directory=?2", tree, directory);
}

std::vector<TreeQuotaStore::Entry> TreeQuotaStore::entries(const Step& from, size_t limit) {
  std::vector<Entry> entries;
  Query q = txn_.query(
      "SELECT i.ino, d.cookie, i.type, i.allocated, coalesce(m.tree, 0) "
      "FROM dirents d INDEXED BY dirents_by_cookie JOIN inodes i ON i.ino=d.ino "
      "LEFT JOIN quota_members m ON m.ino=i.ino "
      "WHERE d.parent=?1 AND d.cookie>?2 ORDER BY d.cookie LIMIT ?3",
      from.directory, from.cookie, limit);
  while (q.next()) {
    entries.push_back({InodeNo(q.uint64(0)), q.uint64(1), static_cast<fs::FileType>(q.int64(2)),
                       q.int64(3), InodeNo(q.uint64(4))});
  }
  return entries;
}

std::string TreeQuotaStore::path_of(InodeNo directory) {
  std::string path;
  for (int depth = 0; depth < kDepthMax; ++depth) {
    Query q = txn_.query(
        "SELECT i.parent, d.name FROM inodes i LEFT JOIN dirents d ON d.parent=i.parent "
        "AND d.ino=i.ino WHERE i.ino=?1",
        directory);
    if (!q.next()) return "?";
    const InodeNo parent(q.uint64(0));
    if (parent == directory) return path.empty() ? "/" : path;
    if (q.is_null(1)) return "?";
    path.insert(0, "/" + q.text(1));
    directory = parent;
  }
  return "?";
}

}  // namespace aster::db
