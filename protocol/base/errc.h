#pragma once

#include <optional>
#include <string_view>

namespace aster {

/// What happened, in this project's own words. Branch on this alone; never on an error's text.
/// Each has one wire string (errc.cpp), one errno (fuse/kernel/errno_map.cpp) and one HTTP status
/// (server/http/status_map.cpp); a test walks all of them through the three tables.
enum class Errc {
  // requests
  bad_request,          ///< malformed or out-of-range input
  token_invalid,        ///< missing, unknown, expired or replayed proof of identity
  credentials_failed,   ///< wrong password, unknown key, wrong signature
  forbidden,            ///< known, but may not
  precondition_failed,  ///< the target's state does not allow it
  conflict,             ///< collides with something that exists (unique names of nodes, users, ...)
  rate_limited,
  too_large,  ///< over a size limit
  unsupported,
  // namespace
  not_found,
  exists,
  not_directory,
  is_directory,
  not_empty,
  name_too_long,
  too_many_links,
  cross_workspace,  ///< rename or link between separate trees
  not_permitted,
  access_denied,
  no_attribute,     ///< the extended attribute is not there
  range_too_small,  ///< the caller's buffer or an attribute's space is too small
  read_only,
  quota_exceeded,
  no_space,
  locked,  ///< somebody else holds a conflicting lock
  // versions
  stale_version,  ///< the base of a commit is no longer current
  stale_handle,   ///< the inode or handle is gone
  // machinery
  interrupted,
  timeout,
  unavailable,  ///< the other side cannot be reached or cannot serve now
  corrupt,      ///< bytes do not match their checksum
  io_error,
  out_of_resources,  ///< a queue, table or budget is full
  internal,          ///< a bug or an exception stopped at a fence
};

/// Last enumerator, for tests that walk all of them.
inline constexpr Errc kLastErrc = Errc::internal;

/// The stable wire string, e.g. "not_found".
std::string_view to_string(Errc code) noexcept;

/// Inverse of to_string; nullopt for a string that is not one of ours.
std::optional<Errc> errc_from_string(std::string_view text) noexcept;

/// The nearest Errc for an errno value of this machine (files, sockets); io_error for the rest.
Errc errc_from_errno(int err) noexcept;

}  // namespace aster
