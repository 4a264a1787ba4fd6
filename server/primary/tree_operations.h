#pragma once

#include "server/primary/mutation.h"

/// The operations that change directories, with the rules of POSIX. Private to the namespace
/// service. Errors are those of fs/messages.h.
namespace aster::primary {

Result<fs::Answer> apply(Mutation& m, const fs::Create& op);
Result<fs::Answer> apply(Mutation& m, const fs::Link& op);
Result<fs::Answer> apply(Mutation& m, const fs::Unlink& op);
Result<fs::Answer> apply(Mutation& m, const fs::Rmdir& op);
Result<fs::Answer> apply(Mutation& m, const fs::Rename& op);

/// Adds the entry and saves its directory, which also counts a new subdirectory's "..".
void add_entry(Mutation& m, db::InodeRow& parent, std::string_view name, const db::InodeRow& child);
/// What the journal says of a change of one name.
void journal_entry(Mutation& m, const db::InodeRow& child, const db::InodeRow& parent,
                   std::string_view name);

/// A root directory of `workspace`, saved, with its own number as parent.
db::InodeRow make_root(db::FsStore& store, uint64_t workspace, int64_t now);

}  // namespace aster::primary
