#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/result.h"

namespace aster::cli {

/// Where the data of a file, or with a directory of its whole mount, is safe: "remote", or "local"
/// or "no" with counts. bad_request when the path is not on a mounted drive.
Result<std::string> durability_of(const std::string& path);

/// The mount points of drives that `table` lists, which is like /proc/self/mounts.
std::vector<std::string> mounted_drives(const std::filesystem::path& table);

}  // namespace aster::cli
