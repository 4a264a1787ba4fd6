#pragma once

#include <string_view>

#include "protocol/fs/messages.h"

/// POSIX access control lists as Linux has them, in the form of its extended attributes: version 2
/// (4 bytes), then per entry tag (2), permissions (2) and id (4), all little-endian; see acl(5).
/// Whoever checks permissions (the kernel) reads them; here they are kept in step with the mode.
namespace aster::fs {

inline constexpr std::string_view kAclXattr = "system.posix_acl_access";
inline constexpr std::string_view kDefaultAclXattr = "system.posix_acl_default";
inline bool is_acl_xattr(std::string_view name) {
  return name == kAclXattr || name == kDefaultAclXattr;
}

/// bad_request for what is no list or breaks the rules of acl(5), too_large over kAclMax.
Result<void> check_acl(std::string_view acl);

/// Gives the inode this access list: its mode follows, and the list is kept only when it says more
/// than the mode can. Errors of check_acl.
Result<void> set_acl(Attr& attr, std::string_view acl);

/// As chmod(2): the bits of the group go to the mask when the inode has a list.
void set_mode(Attr& attr, uint32_t mode);

/// What a new inode gets from its directory: the group (and the bit itself, for directories) of a
/// set-group-id directory, and its lists from the default list; only without one `umask` counts.
void inherit(const Attr& directory, uint32_t umask, Attr& child);

}  // namespace aster::fs
