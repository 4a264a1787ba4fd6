#pragma once

#include "server/primary/extent_map.h"
#include "server/primary/mutation.h"

/// What is kept of deleted files and of contents that are replaced: inodes without a name, with
/// their extents, so that nothing else needs to know of them. Private to the namespace service.
namespace aster::primary {

/// "on" or "off" for everything below a directory.
inline constexpr std::string_view kTrashSetting = "user.aster.trash";

/// The name of a storage policy for everything below a directory that has none of its own.
inline constexpr std::string_view kPolicySetting = "user.aster.policy";

/// The policy that a directory, or one above it, chose for new files; 0 = none, or the
/// administrator does not let directories choose (any more).
PolicyId chosen_policy(Mutation& m, InodeNo directory);
/// The same for new data of the inode: what was chosen when a file was made, what a directory
/// chooses now.
PolicyId chosen_policy(Mutation& m, const db::InodeRow& row);

/// Puts an inode that has just lost its last name into the trash, if it is worth it; false: it
/// becomes an orphan. A directory of which something is in the trash always goes there, too.
bool keep_in_trash(Mutation& m, const db::InodeRow& row, const LostName& lost);

/// Before the content of `row` changes. What is in the trash and still written by somebody who has
/// it open is that program's own from then on: it counts again and ends with its last holder.
/// read_only for versions.
Result<void> claim_content(Mutation& m, const db::InodeRow& row);

/// Keeps the content that `row` has now, before it changes; not with each change (see
/// KeepOptions) unless `always`.
void keep_version(Mutation& m, const db::InodeRow& row, bool always = false);

/// Lays everything that `source` contains over the same places of `map`'s file.
void copy_all_extents(Mutation& m, InodeNo source, ExtentMap& map);

}  // namespace aster::primary
