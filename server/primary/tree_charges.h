#pragma once

#include "server/primary/mutation.h"

/// Which quota tree an inode belongs to. The rules are those of project quotas: what is made in a
/// directory belongs to the directory's tree, a file stays in its tree whatever other names it
/// gets, and nothing gets a name in another tree than its own (programs then copy). Private to the
/// namespace service.
namespace aster::primary {

/// An inode that is new, or comes back from the trash, belongs to the tree of its directory. Before
/// anything is charged.
void join_tree(Mutation& m, InodeNo child, InodeNo directory);

/// cross_workspace unless both belong to the same tree, or to none.
Result<void> check_same_tree(Mutation& m, InodeNo one, InodeNo other);

/// `child` got another name in `directory`. While that tree is being counted, what was not counted
/// yet is counted here: the walk may be past this place.
void adopt(Mutation& m, const db::InodeRow& child, InodeNo directory);

/// A directory has lost its name: a quota of its own ends.
void end_tree(Mutation& m, InodeNo directory);

/// Counts one entry of a directory that belongs to a tree under counting.
void count_entry(db::TreeQuotaStore& trees, const db::TreeQuota& tree,
                 const db::TreeQuotaStore::Entry& entry);

}  // namespace aster::primary
