#include "protocol/base/errc.h"

#include <cerrno>

namespace aster {

std::string_view to_string(Errc code) noexcept {
  switch (code) {
    case Errc::bad_request: return "bad_request";
    case Errc::token_invalid: return "token_invalid";
    case Errc::credentials_failed: return "credentials_failed";
    case Errc::forbidden: return "forbidden";
    case Errc::precondition_failed: return "precondition_failed";
    case Errc::conflict: return "conflict";
    case Errc::rate_limited: return "rate_limited";
    case Errc::too_large: return "too_large";
    case Errc::unsupported: return "unsupported";
    case Errc::not_found: return "not_found";
    case Errc::exists: return "exists";
    case Errc::not_directory: return "not_directory";
    case Errc::is_directory: return "is_directory";
    case Errc::not_empty: return "not_empty";
    case Errc::name_too_long: return "name_too_long";
    case Errc::too_many_links: return "too_many_links";
    case Errc::cross_workspace: return "cross_workspace";
    case Errc::not_permitted: return "not_permitted";
    case Errc::access_denied: return "access_denied";
    case Errc::no_attribute: return "no_attribute";
    case Errc::range_too_small: return "range_too_small";
    case Errc::read_only: return "read_only";
    case Errc::quota_exceeded: return "quota_exceeded";
    case Errc::no_space: return "no_space";
    case Errc::locked: return "locked";
    case Errc::stale_version: return "stale_version";
    case Errc::stale_handle: return "stale_handle";
    case Errc::interrupted: return "interrupted";
    case Errc::timeout: return "timeout";
    case Errc::unavailable: return "unavailable";
    case Errc::corrupt: return "corrupt";
    case Errc::io_error: return "io_error";
    case Errc::out_of_resources: return "out_of_resources";
    case Errc::internal: return "internal";
  }
  return "internal";
}

std::optional<Errc> errc_from_string(std::string_view text) noexcept {
  for (int i = 0; i <= static_cast<int>(kLastErrc); ++i) {
    const auto code = static_cast<Errc>(i);
    if (to_string(code) == text) return code;
  }
  return std::nullopt;
}

Errc errc_from_errno(int err) noexcept {
  switch (err) {
    case ENOENT: return Errc::not_found;
    case EEXIST: return Errc::exists;
    case ENOTDIR: return Errc::not_directory;
    case EISDIR: return Errc::is_directory;
    case ENOTEMPTY: return Errc::not_empty;
    case ENAMETOOLONG: return Errc::name_too_long;
    case EMLINK: return Errc::too_many_links;
    case EXDEV: return Errc::cross_workspace;
    case EPERM: return Errc::not_permitted;
    case EACCES: return Errc::access_denied;
    case ENODATA: return Errc::no_attribute;
    case ERANGE: return Errc::range_too_small;
    case EROFS: return Errc::read_only;
    case EDQUOT: return Errc::quota_exceeded;
    case ENOSPC: return Errc::no_space;
    case EAGAIN: return Errc::locked;
    case ESTALE: return Errc::stale_handle;
    case EINTR: return Errc::interrupted;
    case ETIMEDOUT: return Errc::timeout;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case EHOSTUNREACH:
    case ENETUNREACH: return Errc::unavailable;
    case EINVAL: return Errc::bad_request;
    case EFBIG: return Errc::too_large;
    case EOPNOTSUPP:
    case ENOSYS: return Errc::unsupported;
    case EMFILE:
    case ENFILE:
    case ENOMEM: return Errc::out_of_resources;
    default: return Errc::io_error;
  }
}

}  // namespace aster
