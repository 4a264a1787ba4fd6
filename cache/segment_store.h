#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <vector>

#include "cache/block_format.h"
#include "cache/file_layer.h"
#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "protocol/base/unique_handle.h"

namespace aster {

/// A block on its way into a segment.
struct BlockToStore {
  BlockKey key;
  uint32_t crc32c = 0;
  ByteView bytes;  ///< 1 to kBlockSize
};

/// Append-only files of records, numbered upwards; space comes back by dropping whole files.
/// read(), alive() and the totals: any thread. The rest: one thread, the writer.
///
/// After a crash a file may end in half a record or hold anything: nothing here is synced, and
/// read() checks every byte it hands out.
class SegmentStore {
 public:
  struct Options {
    uint64_t segment_bytes = 256 << 20;  ///< a file is never longer
    std::string program;                 ///< goes into file headers
  };
  /// At most this many blocks and bytes go into one append: one system call, and 512 KiB is the
  /// largest piece that ext4 writes at full speed (measured: 4.5 GB/s, 1 GB/s from 1 MiB on).
  static constexpr size_t kMaxAppendBlocks = 128;
  static constexpr uint64_t kMaxAppendBytes = 512 << 10;

  /// `directory` holds the segments. Lists it, opens no file. `files` and `clock` must outlive the
  /// store.
  static Result<std::unique_ptr<SegmentStore>> open(UniqueFd directory, Options options,
                                                    FileLayer& files, const Clock& clock);

  /// The block's bytes, read into `pool` memory and checked against key and checksum. not_found:
  /// the segment was dropped. corrupt, unsupported, io_error: as they say.
  Result<Bytes> read(const BlockKey& key, const block_format::Location& where,
                     BlockPool& pool) const;
  bool alive(uint64_t segment) const;
  /// Disk space of all segments, whole file system blocks.
  uint64_t bytes() const noexcept { return bytes_; }
  size_t count() const;

  /// Appends all or nothing; one location for each block. no_space, io_error: nothing was added.
  Result<std::vector<block_format::Location>> append(std::span<const BlockToStore> blocks);
  /// The segment that was begun first.
  std::optional<uint64_t> oldest() const;
  uint64_t oldest_or_next() const;
  uint64_t size_of(uint64_t segment) const;
  /// The next append begins a new file.
  void seal();
  /// Calls `visit` for each sound record in order; ends at the first that is not.
  using Visitor = std::function<void(const block_format::RecordHeader&, uint32_t offset)>;
  Result<void> visit_records(uint64_t segment, const Visitor& visit) const;
  /// Frees the disk space at once, also while somebody reads: that read misses.
  Result<void> drop(uint64_t segment);

 private:
  struct Segment;
  using SegmentRef = std::shared_ptr<Segment>;

  SegmentStore(UniqueFd directory, Options options, FileLayer& files, const Clock& clock);
  Result<void> list();
  SegmentRef find(uint64_t number) const;
  Result<int> descriptor(Segment& segment) const;
  Result<void> check_header(int fd, uint64_t number) const;
  Result<SegmentRef> begin_segment();
  Result<SegmentRef> segment_for(uint64_t size);
  Result<void> write_all(Segment& segment, std::vector<iovec> pieces);
  Result<void> write_direct(Segment& segment, const std::vector<iovec>& pieces);
  void stage(const std::vector<iovec>& pieces, size_t padded);
  void grow(Segment& segment, uint64_t size);

  const UniqueFd directory_;
  const Options options_;
  FileLayer& files_;
  const Clock& clock_;
  std::atomic<uint64_t> bytes_{0};
  mutable std::shared_mutex mutex_;
  std::map<uint64_t, SegmentRef> segments_;  ///< guarded by mutex_
  SegmentRef active_;                        ///< writer only
  uint64_t next_ = 1;                        ///< writer only
  /// For direct writes, writer only: page-aligned memory that begins with the `staged_` bytes of
  /// the active segment's last page.
  std::unique_ptr<std::byte, void (*)(void*)> staging_{nullptr, std::free};
  size_t staging_size_ = 0;
  size_t staged_ = 0;
};

}  // namespace aster
