#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "cache/block_format.h"
#include "cache/rocksdb_handle.h"

namespace aster {

/// Which record holds a block: the RocksDB side of the cache on disk. Thread-safe.
///
/// Writes reach the kernel at once but are never synced: after kill -9 all are there, after a power
/// cut the index may lag or lead the segments. Both are harmless, readers check what they find.
class BlockIndex {
 public:
  using Entry = std::pair<BlockKey, block_format::Location>;

  struct Options {
    std::filesystem::path directory;
    uint64_t write_buffer_bytes = 4 << 20;
    /// Entries that point below this segment are forgotten by compactions. Any thread.
    std::function<uint64_t()> oldest_segment;
  };
  /// An index that cannot be opened is wiped and begun anew, with a line in the log; what still
  /// fails then is an error.
  static Result<std::unique_ptr<BlockIndex>> open(Options options);

  /// not_found; corrupt, io_error when the index itself is damaged.
  Result<block_format::Location> find(const BlockKey& key) const;
  /// False: certainly not there. Touches no disk.
  bool may_contain(const BlockKey& key) const;
  Result<void> put(std::span<const Entry> entries);
  Result<void> remove(std::span<const BlockKey> keys);
  /// For readers: gives up instead of waiting, and says nothing.
  void try_remove(const BlockKey& key);

  /// Space on disk as of the last measure().
  uint64_t disk_bytes() const noexcept { return disk_bytes_; }
  /// Upper bound of what the directory may reach before the next measure().
  uint64_t reserved_bytes() const noexcept;
  void measure() { disk_bytes_ = handle_->disk_bytes(); }
  Result<void> resume() { return handle_->resume(); }

 private:
  BlockIndex(Options options, std::unique_ptr<RocksDbHandle> handle);

  const Options options_;
  const std::unique_ptr<RocksDbHandle> handle_;
  rocksdb::ColumnFamilyHandle* const blocks_;
  std::atomic<uint64_t> disk_bytes_{0};
};

}  // namespace aster
