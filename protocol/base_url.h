#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/base/result.h"

namespace aster {

/// The one form of a node's base URL or a primary's URL: blanks, query, fragment, default port and
/// trailing slashes dropped, scheme and host in lower case, path kept. Blank gives an empty text (a
/// node that has no URL yet). bad_request for anything that is not plain http or https, and for
/// user info.
Result<std::string> normalize_base_url(std::string_view text);

/// The same, but blank is refused.
Result<std::string> normalize_master_url(std::string_view text);

/// Parts of a normalised URL.
struct BaseUrl {
  std::string origin;  ///< "https://host[:port]", also the origin that CORS allows
  std::string path;    ///< "" or "/nodes/a": part of every signed target
};
BaseUrl split_base_url(std::string_view normalized);

/// A browser's `Origin` in the form of BaseUrl::origin. bad_request for `null`, `*`, other schemes,
/// and for a path, query or user info.
Result<std::string> normalize_origin(std::string_view header);

}  // namespace aster
