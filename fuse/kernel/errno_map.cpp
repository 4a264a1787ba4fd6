#include "fuse/kernel/errno_map.h"

#include <cerrno>

namespace aster {

int to_errno(Errc code) noexcept {
  switch (code) {
    case Errc::bad_request: return EINVAL;
    case Errc::token_invalid: return EACCES;
    case Errc::credentials_failed: return EACCES;
    case Errc::forbidden: return EACCES;
    case Errc::precondition_failed: return EIO;
    case Errc::conflict: return EEXIST;
    case Errc::rate_limited: return EBUSY;
    case Errc::too_large: return EFBIG;
    case Errc::unsupported: return EOPNOTSUPP;
    case Errc::not_found: return ENOENT;
    case Errc::exists: return EEXIST;
    case Errc::not_directory: return ENOTDIR;
    case Errc::is_directory: return EISDIR;
    case Errc::not_empty: return ENOTEMPTY;
    case Errc::name_too_long: return ENAMETOOLONG;
    case Errc::too_many_links: return EMLINK;
    case Errc::cross_workspace: return EXDEV;
    case Errc::not_permitted: return EPERM;
    case Errc::access_denied: return EACCES;
    case Errc::no_attribute: return ENODATA;
    case Errc::range_too_small: return ERANGE;
    case Errc::read_only: return EROFS;
    case Errc::quota_exceeded: return EDQUOT;
    case Errc::no_space: return ENOSPC;
    case Errc::locked: return EAGAIN;
    case Errc::stale_version: return ESTALE;
    case Errc::stale_handle: return ESTALE;
    case Errc::interrupted: return EINTR;
    // Programs know what to do about EIO; ETIMEDOUT or EHOSTUNREACH from a file surprise them.
    case Errc::timeout: return EIO;
    case Errc::unavailable: return EIO;
    case Errc::corrupt: return EIO;
    case Errc::io_error: return EIO;
    // Not ENOMEM: a full queue here says nothing about the machine's memory.
    case Errc::out_of_resources: return EIO;
    case Errc::internal: return EIO;
  }
  return EIO;
}

}  // namespace aster
