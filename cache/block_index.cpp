#include "cache/block_index.h"

#include <rocksdb/compaction_filter.h>
#include <rocksdb/db.h>

#include "protocol/base/log.h"

namespace aster {
namespace {

using block_format::encode;
using block_format::Location;

constexpr const char* kFamily = "blocks";
// MANIFEST (256 KiB at most before it is rewritten), OPTIONS, CURRENT, IDENTITY and their
// successors.
constexpr uint64_t kSmallFiles = 512 << 10;

rocksdb::Slice slice_of(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
ByteView view_of(const rocksdb::Slice& slice) {
  return as_bytes(std::string_view(slice.data(), slice.size()));
}

/// Forgets entries whose segment is gone: those that a crash kept from being removed.
class DeadSegmentFilter final : public rocksdb::CompactionFilter {
 public:
  explicit DeadSegmentFilter(uint64_t oldest) : oldest_(oldest) {}
  bool Filter(int, const rocksdb::Slice&, const rocksdb::Slice& value, std::string*,
              bool*) const override {
    const auto location = block_format::decode_location(view_of(value));
    return !location || location->segment < oldest_;
  }
  const char* Name() const override { return "aster.DeadSegmentFilter"; }

 private:
  const uint64_t oldest_;
};

class DeadSegmentFilterFactory final : public rocksdb::CompactionFilterFactory {
 public:
  explicit DeadSegmentFilterFactory(std::function<uint64_t()> oldest)
      : oldest_(std::move(oldest)) {}
  std::unique_ptr<rocksdb::CompactionFilter> CreateCompactionFilter(
      const rocksdb::CompactionFilter::Context&) override {
    return std::make_unique<DeadSegmentFilter>(oldest_());
  }
  const char* Name() const override { return "aster.DeadSegmentFilterFactory"; }

 private:
  const std::function<uint64_t()> oldest_;
};

Result<std::unique_ptr<RocksDbHandle>> open_or_restart(const RocksDbOptions& options) {
  auto handle = RocksDbHandle::open(options);
  if (handle.ok() || handle.failed_with(Errc::no_space)) return handle;
  ASTER_LOG(warn, "cache_index_restarted", {"err", handle.error()});
  std::error_code error;
  std::filesystem::remove_all(options.directory, error);
  if (error) return fail_errno(error.value(), "remove " + options.directory.string());
  return RocksDbHandle::open(options);
}

}  // namespace

BlockIndex::BlockIndex(Options options, std::unique_ptr<RocksDbHandle> handle)
    : options_(std::move(options)), handle_(std::move(handle)), blocks_(handle_->family(kFamily)) {
  measure();
}

Result<std::unique_ptr<BlockIndex>> BlockIndex::open(Options options) {
  RocksDbOptions db;
  db.directory = options.directory;
  db.families = {kFamily};
  db.write_buffer_bytes = options.write_buffer_bytes;
  db.filter = std::make_shared<DeadSegmentFilterFactory>(options.oldest_segment);
  ASTER_TRY(auto handle, open_or_restart(db));
  return std::unique_ptr<BlockIndex>(new BlockIndex(std::move(options), std::move(handle)));
}

Result<Location> BlockIndex::find(const BlockKey& key) const {
  const auto name = encode(key);
  rocksdb::PinnableSlice value;
  const auto status = handle_->db().Get(rocksdb::ReadOptions(), blocks_, slice_of(name), &value);
  if (!status.ok()) return rocksdb_error(status, "read the index");
  const auto location = block_format::decode_location(view_of(value));
  if (!location) return fail(Errc::corrupt, "an entry of the index");
  return *location;
}

bool BlockIndex::may_contain(const BlockKey& key) const {
  const auto name = encode(key);
  std::string value;
  bool found = false;
  if (!handle_->db().KeyMayExist(rocksdb::ReadOptions(), blocks_, slice_of(name), &value, &found)) {
    return false;
  }
  if (!found) return true;
  const auto location = block_format::decode_location(as_bytes(value));
  return location && location->segment >= options_.oldest_segment();
}

Result<void> BlockIndex::put(std::span<const Entry> entries) {
  rocksdb::WriteBatch batch;
  for (const auto& [key, location] : entries) {
    const auto name = encode(key);
    const auto value = encode(location);
    batch.Put(blocks_, slice_of(name), slice_of(value)).PermitUncheckedError();
  }
  const auto status = handle_->db().Write(rocksdb::WriteOptions(), &batch);
  if (!status.ok()) return rocksdb_error(status, "write the index");
  return ok();
}

Result<void> BlockIndex::remove(std::span<const BlockKey> keys) {
  rocksdb::WriteBatch batch;
  for (const BlockKey& key : keys) {
    const auto name = encode(key);
    batch.Delete(blocks_, slice_of(name)).PermitUncheckedError();
  }
  const auto status = handle_->db().Write(rocksdb::WriteOptions(), &batch);
  if (!status.ok()) return rocksdb_error(status, "write the index");
  return ok();
}

void BlockIndex::try_remove(const BlockKey& key) {
  rocksdb::WriteOptions options;
  options.no_slowdown = true;
  const auto name = encode(key);
  handle_->db().Delete(options, blocks_, slice_of(name)).PermitUncheckedError();
}

uint64_t BlockIndex::reserved_bytes() const noexcept {
  // A compaction keeps its input until its output is whole; two write buffers and their logs may be
  // on their way to disk.
  return 2 * disk_bytes_ + 4 * options_.write_buffer_bytes + kSmallFiles;
}

}  // namespace aster
