#pragma once

#include <string>
#include <vector>

#include "fuse/vfs/filesystem.h"

namespace aster {

/// `/.aster/errors`: a line for each file whose data could not be sent, empty when all is well.
/// Inode, path, error as a program sees it, since when, attempts, why, what to do; tabs between.
/// In paths a backslash and bytes below a space are octal, as in /proc/mounts.
std::string errors_table(const std::vector<Filesystem::UnsentFile>& files);

}  // namespace aster
