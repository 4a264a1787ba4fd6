#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"

namespace aster::content {

/// Names from a root down; empty is the root itself. Names are bytes.
using Path = std::vector<std::string>;

/// From the path of a URL: each segment loses its percent escapes once and may then be any name,
/// UTF-8 or not. Empty segments count as nothing. bad_request for a malformed escape, a '/' or NUL
/// that was hidden in one, "." and ".."; name_too_long.
Result<Path> decode_path(std::string_view raw);

/// Percent-encoded with a '/' before each name; the root is empty.
std::string encode_path(const Path& path);
/// One name, percent-encoded.
std::string encode_name(std::string_view name);

/// bad_request or name_too_long for what cannot be the name of a file.
Result<void> check_name(std::string_view name);

/// True when `path` is `top` or below it.
bool is_within(const Path& path, const Path& top);

}  // namespace aster::content
