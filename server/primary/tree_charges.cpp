#include "server/primary/tree_charges.h"

namespace aster::primary {

using db::TreeQuota;
using db::TreeState;

void join_tree(Mutation& m, InodeNo child, InodeNo directory) {
  if (!m.has_trees()) return;
  m.trees.put_member(child, m.trees.tree_of(directory));
}

Result<void> check_same_tree(Mutation& m, InodeNo one, InodeNo other) {
  if (one == other || !m.has_trees()) return ok();
  if (m.trees.tree_of(one) == m.trees.tree_of(other)) return ok();
  return fail(Errc::cross_workspace,
              "one of the folders has a quota of its own: copy, then remove");
}

void adopt(Mutation& m, const db::InodeRow& child, InodeNo directory) {
  if (!m.has_trees()) return;
  const std::optional<TreeQuota> tree = m.trees.find(m.trees.tree_of(directory));
  if (!tree || tree->state != TreeState::counting) return;
  count_entry(m.trees, *tree,
              {child.attr.ino, 0, child.attr.type, static_cast<int64_t>(child.attr.allocated),
               m.trees.member_of(child.attr.ino)});
}

void end_tree(Mutation& m, InodeNo directory) {
  if (!m.has_trees()) return;
  const std::optional<TreeQuota> tree = m.trees.find(directory);
  if (tree && tree->state != TreeState::removing) m.trees.begin_removal(*tree);
}

void count_entry(db::TreeQuotaStore& trees, const TreeQuota& tree,
                 const db::TreeQuotaStore::Entry& entry) {
  if (entry.tree == entry.ino) {
    const std::optional<TreeQuota> inner = trees.find(entry.ino);
    if (inner && inner->parent == tree.parent) trees.enclose(*inner, tree.root);
    return;
  }
  // Of another tree are files that have names in both.
  if (entry.tree != tree.parent) return;
  trees.put_member(entry.ino, tree.root);
  trees.count_member(tree.root, entry.allocated);
  if (entry.type == fs::FileType::directory) trees.push_directory(tree.root, entry.ino);
}

}  // namespace aster::primary
