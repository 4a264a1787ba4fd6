#pragma once

/// Uploads in parts of the file API. Times are unix seconds.
namespace aster::db {

inline constexpr char kUploadsSchema[] = R"sql(
CREATE TABLE file_uploads(
  id TEXT PRIMARY KEY,
  user INTEGER NOT NULL,
  workspace INTEGER NOT NULL,
  folder INTEGER NOT NULL,
  name BLOB NOT NULL,
  path TEXT NOT NULL,
  total_size INTEGER NOT NULL,
  chunk_size INTEGER NOT NULL,
  overwrite INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE file_upload_parts(
  upload TEXT NOT NULL,
  number INTEGER NOT NULL,
  content TEXT NOT NULL,
  PRIMARY KEY(upload, number)
) STRICT, WITHOUT ROWID;
)sql";

}  // namespace aster::db
