#pragma once

#include <string>

#include "server/db/fs_store.h"

namespace aster::primary {

/// The inode at a path of the workspace, "/a/b". not_found. For administration: scopes of tokens
/// are not looked at.
Result<InodeNo> resolve_path(db::FsStore& store, uint64_t workspace, const std::string& path);

}  // namespace aster::primary
