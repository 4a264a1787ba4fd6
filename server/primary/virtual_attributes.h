#pragma once

#include <string>
#include <string_view>

#include "server/db/inode_store.h"
#include "server/primary/read_operations.h"

/// Extended attributes that nobody set: the drive explains itself. Answered when asked for, never
/// listed. What people may set of them (attribute_operations.cpp) holds for everything below a
/// directory. See mount.aster(8).
namespace aster::primary {

/// True for every name that belongs to the drive, known or not.
bool is_virtual_attribute(std::string_view name);

/// The text of one: `user.aster.policy`, `.node`, `.object`, `.crc32c` of a regular file,
/// `.trash` of a directory, `.quota` below a folder that has one, `.policies` and `.nodes` of any
/// inode. no_attribute for other names, and where there is nothing to say.
Result<std::string> virtual_attribute(ReadContext& c, const db::InodeRow& row,
                                      std::string_view name);

}  // namespace aster::primary
