#pragma once

/// Migration 14: storage policies whose data lies in a bucket.
namespace aster::db {

inline constexpr char kS3PoliciesSchema[] = R"sql(
-- Empty for all drivers but s3.
ALTER TABLE policies ADD COLUMN endpoint TEXT NOT NULL DEFAULT '';
ALTER TABLE policies ADD COLUMN bucket TEXT NOT NULL DEFAULT '';
ALTER TABLE policies ADD COLUMN access_key TEXT NOT NULL DEFAULT '';
ALTER TABLE policies ADD COLUMN secret_key TEXT NOT NULL DEFAULT '';
)sql";

}  // namespace aster::db
