#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "protocol/base/result.h"

namespace aster {

/// First line of a file without its end, at most 4 KiB. bad_request when it is empty.
Result<std::string> read_first_line(const std::filesystem::path& path);

/// The same for a file that holds a secret: forbidden when other users could read it. Pipes are
/// taken as they are; "-" is standard input.
Result<std::string> read_secret_file(const std::filesystem::path& path);

/// Creates or replaces a file of mode 0600 in one step, durable when answered. A missing folder is
/// made with mode 0700.
Result<void> write_private_file(const std::filesystem::path& path, std::string_view content);

}  // namespace aster
