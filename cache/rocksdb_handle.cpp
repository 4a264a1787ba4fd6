#include "cache/rocksdb_handle.h"

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

#include "protocol/base/log.h"

namespace aster {
namespace {

/// Replaces RocksDB's LOG file, which would grow beside the cache's limit.
class LogForwarder final : public rocksdb::Logger {
 public:
  LogForwarder() : Logger(rocksdb::InfoLogLevel::WARN_LEVEL) {}
  using Logger::Logv;
  void Logv(const char* format, va_list arguments) override {
    char text[512];
    std::vsnprintf(text, sizeof text, format, arguments);
    ASTER_LOG(debug, "rocksdb", {"text", text});
  }
};

/// Files of mode 0600. RocksDB's own switch for that (Env::SetAllowNonOwnerAccess) answers OK and
/// does nothing in 7.8.
class PrivateFiles final : public rocksdb::FileSystemWrapper {
 public:
  PrivateFiles() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "aster.PrivateFiles"; }

  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override {
    return made_private(name, target()->NewWritableFile(name, options, file, debug));
  }
  rocksdb::IOStatus LockFile(const std::string& name, const rocksdb::IOOptions& options,
                             rocksdb::FileLock** lock, rocksdb::IODebugContext* debug) override {
    return made_private(name, target()->LockFile(name, options, lock, debug));
  }

 private:
  static rocksdb::IOStatus made_private(const std::string& name, rocksdb::IOStatus status) {
    if (status.ok() && ::chmod(name.c_str(), 0600) != 0) {
      return rocksdb::IOStatus::IOError("chmod " + name);
    }
    return status;
  }
};

rocksdb::BlockBasedTableOptions table_options(const RocksDbOptions& options) {
  rocksdb::BlockBasedTableOptions table;
  // CRC32C of Debian's build runs at 1 GB/s, XXH3 at many times that (measured).
  table.checksum = rocksdb::kXXH3;
  table.block_cache = rocksdb::NewLRUCache(options.block_cache_bytes, /*num_shard_bits=*/2);
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  return table;
}

rocksdb::DBOptions db_options(const RocksDbOptions& options, rocksdb::Env* env) {
  rocksdb::DBOptions db;
  db.env = env;
  db.create_if_missing = true;
  db.create_missing_column_families = true;
  db.info_log = std::make_shared<LogForwarder>();
  db.max_background_jobs = 2;
  db.max_open_files = 128;
  db.max_file_opening_threads = 1;
  db.max_manifest_file_size = 256 << 10;
  db.keep_log_file_num = 1;
  db.stats_dump_period_sec = 0;
  db.stats_persist_period_sec = 0;
  db.skip_stats_update_on_db_open = true;
  // Preallocated space would count against a limit and help nothing at this size.
  db.allow_fallocate = false;
  db.wal_recovery_mode = options.strict_log
                             ? rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords
                             : rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  return db;
}

rocksdb::ColumnFamilyOptions family_options(const RocksDbOptions& options) {
  rocksdb::ColumnFamilyOptions family;
  family.write_buffer_size = options.write_buffer_bytes;
  family.max_write_buffer_number = 2;
  family.target_file_size_base = options.write_buffer_bytes;
  family.max_bytes_for_level_base = 4 * options.write_buffer_bytes;
  family.compression = rocksdb::kNoCompression;
  family.compaction_filter_factory = options.filter;
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table_options(options)));
  return family;
}

}  // namespace

Error rocksdb_error(const rocksdb::Status& status, std::string_view context) {
  const std::string text = std::string(context) + ": " + status.ToString();
  if (status.IsNotFound()) return fail(Errc::not_found, text);
  if (status.IsNoSpace()) return fail(Errc::no_space, text);
  if (status.IsCorruption()) return fail(Errc::corrupt, text);
  if (status.IsIOError()) return fail(Errc::io_error, text);
  if (status.IsNotSupported()) return fail(Errc::unsupported, text);
  if (status.IsInvalidArgument()) return fail(Errc::bad_request, text);
  if (status.IsBusy() || status.IsTryAgain() || status.IsIncomplete() ||
      status.IsShutdownInProgress()) {
    return fail(Errc::unavailable, text);
  }
  return fail(Errc::internal, text);
}

RocksDbHandle::RocksDbHandle(std::filesystem::path directory)
    : directory_(std::move(directory)),
      env_(rocksdb::NewCompositeEnv(std::make_shared<PrivateFiles>())) {}

Result<std::unique_ptr<RocksDbHandle>> RocksDbHandle::open(const RocksDbOptions& options) {
  if (::mkdir(options.directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail_errno("create " + options.directory.string());
  }
  const auto family = family_options(options);
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  descriptors.emplace_back(rocksdb::kDefaultColumnFamilyName, family);
  for (const std::string& name : options.families) descriptors.emplace_back(name, family);
  std::unique_ptr<RocksDbHandle> handle(new RocksDbHandle(options.directory));
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status =
      rocksdb::DB::Open(db_options(options, handle->env_.get()), options.directory.string(),
                        descriptors, &handle->families_, &db);
  if (!status.ok()) return rocksdb_error(status, "open " + options.directory.string());
  handle->db_.reset(db);
  return handle;
}

RocksDbHandle::~RocksDbHandle() {
  if (!db_) return;
  rocksdb::CancelAllBackgroundWork(db_.get(), /*wait=*/true);
  for (rocksdb::ColumnFamilyHandle* family : families_) {
    db_->DestroyColumnFamilyHandle(family).PermitUncheckedError();
  }
  db_->Close().PermitUncheckedError();
}

rocksdb::ColumnFamilyHandle* RocksDbHandle::family(std::string_view name) const {
  for (rocksdb::ColumnFamilyHandle* family : families_) {
    if (family->GetName() == name) return family;
  }
  check_failed("column family was named in the options", __FILE__, __LINE__);
}

uint64_t RocksDbHandle::disk_bytes() const {
  uint64_t total = 0;
  std::error_code ignored;  // files come and go meanwhile
  for (std::filesystem::directory_iterator it(directory_, ignored), end; !ignored && it != end;
       it.increment(ignored)) {
    std::error_code gone;
    const uint64_t size = it->file_size(gone);
    if (!gone) total += (size + 4095) / 4096 * 4096;
  }
  return total;
}

Result<void> RocksDbHandle::resume() {
  const rocksdb::Status status = db_->Resume();
  if (!status.ok()) return rocksdb_error(status, "resume");
  return ok();
}

}  // namespace aster
