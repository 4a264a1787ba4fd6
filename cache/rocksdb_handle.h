#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"

namespace rocksdb {
class ColumnFamilyHandle;
class CompactionFilterFactory;
class DB;
class Env;
class Status;
}  // namespace rocksdb

namespace aster {

struct RocksDbOptions {
  std::filesystem::path directory;  ///< created with mode 0700 when missing
  /// Column families beside "default"; created when missing.
  std::vector<std::string> families;
  uint64_t write_buffer_bytes = 4 << 20;
  uint64_t block_cache_bytes = 8 << 20;
  /// Refuse a log that is damaged anywhere but at its unsynced end; else what comes after the
  /// damage is dropped.
  bool strict_log = false;
  /// Applies to all families; may be null. Its calls come from a background thread.
  std::shared_ptr<rocksdb::CompactionFilterFactory> filter;
};

/// An open RocksDB, tuned small: one thread each for flushes and compactions in the whole process,
/// small buffers, no preallocation, files of mode 0600, no log file (warnings go to our log).
/// Thread-safe. Opening starts threads: never before a daemonising fork.
class RocksDbHandle {
 public:
  /// corrupt or io_error when it cannot be opened as it is, no_space, locked.
  static Result<std::unique_ptr<RocksDbHandle>> open(const RocksDbOptions& options);
  /// Waits for background work, then closes.
  ~RocksDbHandle();

  rocksdb::DB& db() const noexcept { return *db_; }
  /// One of those named in the options; anything else is a bug.
  rocksdb::ColumnFamilyHandle* family(std::string_view name) const;

  /// Bytes of all files in its directory, rounded up to file system blocks.
  uint64_t disk_bytes() const;
  /// Ends the state in which writes fail after a full or broken disk, if the cause is gone.
  Result<void> resume();

 private:
  explicit RocksDbHandle(std::filesystem::path directory);

  const std::filesystem::path directory_;
  std::unique_ptr<rocksdb::Env> env_;
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> families_;
};

/// A failed status in our words: `return rocksdb_error(status, "read the index");`
Error rocksdb_error(const rocksdb::Status& status, std::string_view context);

}  // namespace aster
