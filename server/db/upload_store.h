#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "protocol/base/ids.h"
#include "protocol/base/task.h"

namespace aster {
class Clock;
class Executor;
}  // namespace aster

namespace aster::db {

class Database;

/// A file that comes in parts. Times are unix seconds.
struct UploadRow {
  std::string id;
  UserId user;
  uint64_t workspace = 0;
  InodeNo folder;
  std::string name;
  std::string path;  ///< percent-encoded, as it was when the upload began
  uint64_t total_size = 0;
  uint64_t chunk_size = 0;  ///< of every part but the last
  bool overwrite = false;
  int64_t expires_at = 0;

  uint64_t total_chunks() const { return (total_size + chunk_size - 1) / chunk_size; }
};

/// Uploads and the parts that have arrived. Thread-safe; a write is durable when answered.
class UploadStore {
 public:
  UploadStore(Database& database, Executor& executor, const Clock& clock)
      : database_(database), executor_(executor), clock_(clock) {}

  /// out_of_resources when the user has `most` already. Expired ones of everybody go.
  Task<Result<void>> create(UploadRow upload, uint64_t most);
  /// not_found; also another user's, and one that has expired.
  Task<Result<UploadRow>> find(UserId user, std::string id);
  /// `content` is the caller's own; replaces an earlier part of this number. How many there are.
  /// not_found when the upload has gone.
  Task<Result<uint64_t>> put_part(std::string id, uint64_t number, std::string content);
  Task<Result<std::vector<uint64_t>>> part_numbers(std::string id);
  /// By number.
  Task<Result<std::vector<std::string>>> parts(std::string id);
  Task<Result<void>> remove(std::string id);

 private:
  Database& database_;
  Executor& executor_;
  const Clock& clock_;
};

}  // namespace aster::db
