#pragma once

/// Access control lists, NULL where there is none. In the form of Linux's extended attributes.
namespace aster::db {

inline constexpr char kAclSchema[] = R"sql(
ALTER TABLE inodes ADD COLUMN acl BLOB;
ALTER TABLE inodes ADD COLUMN default_acl BLOB;
)sql";

}  // namespace aster::db
