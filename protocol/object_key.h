#pragma once

#include <string>
#include <string_view>

#include "protocol/api_error.h"

/// Object keys as the follower protocol sees them: UTF-8 paths with '/' between segments.
namespace aster {

/// The one form of a key or prefix: no leading, doubled or trailing '/', no '.' segment, '\' turned
/// into '/'. Nothing left gives "." (the root). bad_request for a `..` segment, a NUL or bytes that
/// are not UTF-8. Nothing is trimmed, folded or limited in length.
Result<std::string> normalize_key(std::string_view key);

/// `storage_namespace`/key for one object; bad_request for the root too.
Result<std::string> object_path(std::string_view storage_namespace, std::string_view key);
/// `storage_namespace`/prefix for a listing; the root gives the namespace itself.
Result<std::string> prefix_path(std::string_view storage_namespace, std::string_view prefix);

/// A local target's base path, relative to the managed root; "." when nothing is left. bad_request
/// when blank, managed_ingress.local_path_invalid for `..` or an absolute path.
ApiResult<std::string> normalize_base_path(std::string_view base_path);

/// The rest of a request path after `objects/` for this key, encoded as the reference client does
/// it, so that both sides sign the same bytes. bad_request when `..` segments lead out of the key's
/// own path or the key holds a NUL.
Result<std::string> encode_key(std::string_view key);

/// One path segment for a target key (trimmed, '/' encoded too).
std::string encode_target_key(std::string_view target_key);

}  // namespace aster
