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
/// The team whose tree is mounted at or above `path`; empty for other drives and places.
std::string team_of_mount(const std::filesystem::path& table, const std::string& path);

}  // namespace aster::cli
