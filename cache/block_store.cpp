#include "cache/block_store.h"

#include <algorithm>

#include "protocol/base/log.h"

namespace aster {
namespace {

using block_format::Location;
using block_format::record_size;

constexpr uint64_t kMaxSegmentBytes = 256 << 20;
// Each remount begins a segment; a bound keeps open files and the list at start small.
constexpr size_t kMaxSegments = 4096;
// Directories, lock, format.
constexpr uint64_t kOtherFiles = 64 << 10;
// A new segment's header and the rounding of file sizes.
constexpr uint64_t kAppendSlack = 16 << 10;
constexpr uint64_t kAppendsPerMeasure = 64;
constexpr size_t kMaxSurvivors = 64 << 10;
constexpr size_t kRemoveBatch = 1024;

uint64_t choose_segment_bytes(uint64_t limit) {
  // 16 segments at least, so that an eviction is a small share; 1024 at most, so that descriptors
  // do not run out.
  const uint64_t small = std::clamp<uint64_t>(limit / 16, 1 << 20, kMaxSegmentBytes);
  return std::min<uint64_t>(std::max(small, limit / 1024), 2ull << 30) / 4096 * 4096;
}

BlockIndex::Options index_options(const CacheDirectory& directory, uint64_t limit,
                                  const SegmentStore& segments) {
  BlockIndex::Options options;
  options.directory = directory.index_path();
  options.write_buffer_bytes = std::clamp<uint64_t>(limit / 256, 64 << 10, 4 << 20);
  options.oldest_segment = [&segments] { return segments.oldest_or_next(); };
  return options;
}

}  // namespace

BlockStore::BlockStore(CacheDirectory directory, Options options)
    : directory_(std::move(directory)),
      options_(std::move(options)),
      heat_(options_.limit_bytes / kBlockSize),
      copy_pool_(SegmentStore::kMaxAppendBytes) {}

Result<std::unique_ptr<BlockStore>> BlockStore::open(CacheDirectory directory, Options options,
                                                     FileLayer& files, const Clock& clock) {
  if (options.limit_bytes < kMinLimit) {
    return fail(Errc::bad_request, "cache size " + std::to_string(options.limit_bytes) +
                                       " is below " + std::to_string(kMinLimit) + " bytes");
  }
  if (options.segment_bytes == 0) options.segment_bytes = choose_segment_bytes(options.limit_bytes);
  std::unique_ptr<BlockStore> store(new BlockStore(std::move(directory), std::move(options)));
  ASTER_TRY(UniqueFd segments, store->directory_.open_segments());
  ASTER_TRY(
      store->segments_,
      SegmentStore::open(std::move(segments),
                         {store->options_.segment_bytes, store->options_.program}, files, clock));
  ASTER_TRY(store->open_index());
  return store;
}

/// RocksDB writes while it opens. On a full disk the cache gives up blocks of its own for that.
Result<void> BlockStore::open_index() {
  const auto options = index_options(directory_, options_.limit_bytes, *segments_);
  for (;;) {
    auto opened = BlockIndex::open(options);
    if (opened.ok()) {
      index_ = std::move(*opened);
      return ok();
    }
    const auto oldest = segments_->oldest();
    if (!opened.failed_with(Errc::no_space) || !oldest) return Error(opened.error());
    ASTER_LOG(warn, "cache_segment_dropped", {"segment", *oldest}, {"reason", opened.error()});
    ASTER_TRY(segments_->drop(*oldest));
  }
}

uint64_t BlockStore::bytes() const noexcept {
  return segments_->bytes() + index_->disk_bytes() + kOtherFiles;
}

Result<Bytes> BlockStore::find(const BlockKey& key, uint32_t crc32c, BlockPool& pool) {
  const auto where = index_->find(key);
  if (where.failed_with(Errc::not_found)) return Error(where.error());
  if (!where.ok()) {
    if (where.failed_with(Errc::corrupt) && !condemned_.exchange(true)) directory_.condemn_index();
    return fail(Errc::io_error, where.error().context);
  }
  if (where->crc32c != crc32c) {
    index_->try_remove(key);
    return fail(Errc::corrupt, "the block is there under another checksum");
  }
  auto bytes = segments_->read(key, *where, pool);
  if (bytes.ok()) {
    heat_.touch(key);
    return bytes;
  }
  if (bytes.failed_with(Errc::unsupported)) refuse_segment(where->segment, bytes.error());
  if (bytes.failed_with(Errc::not_found) || bytes.failed_with(Errc::corrupt) ||
      bytes.failed_with(Errc::unsupported)) {
    index_->try_remove(key);
  }
  return bytes;
}

void BlockStore::refuse_segment(uint64_t segment, const Error& why) {
  if (!refused_.lock()->insert(segment).second) return;
  ASTER_LOG(warn, "cache_segment_dropped", {"segment", segment}, {"reason", why});
}

Result<void> BlockStore::drop_refused() {
  const std::set<uint64_t> refused = *refused_.lock();
  for (const uint64_t segment : refused) ASTER_TRY(segments_->drop(segment));
  return ok();
}

bool BlockStore::present(const BlockToStore& block) const {
  const auto where = index_->find(block.key);
  return where.ok() && where->crc32c == block.crc32c && segments_->alive(where->segment);
}

Result<void> BlockStore::insert(std::span<const BlockToStore> blocks) {
  ASTER_TRY(drop_refused());
  std::vector<BlockToStore> fresh;
  uint64_t incoming = kAppendSlack;
  for (const BlockToStore& block : blocks) {
    if (present(block)) continue;
    fresh.push_back(block);
    incoming += record_size(block.bytes.size());
  }
  if (fresh.empty()) return ok();
  ASTER_TRY(make_room(incoming));
  ASTER_TRY(const auto locations, segments_->append(fresh));
  std::vector<BlockIndex::Entry> entries;
  for (size_t i = 0; i < fresh.size(); ++i) entries.emplace_back(fresh[i].key, locations[i]);
  if (++appends_ % kAppendsPerMeasure == 0) index_->measure();
  return index_->put(entries);
}

Result<void> BlockStore::make_room(uint64_t incoming) {
  // Room to write survivors before their old segment goes.
  const uint64_t reserve = options_.segment_bytes;
  // Survivors lose heat each time, but a cache full of hot blocks must not be copied round and
  // round for one insert.
  uint64_t keep_whole = options_.segment_bytes;
  for (;;) {
    const uint64_t index = std::max(index_->reserved_bytes(), index_->disk_bytes());
    const uint64_t wanted = segments_->bytes() + index + kOtherFiles + incoming + reserve;
    if (wanted <= options_.limit_bytes && segments_->count() < kMaxSegments) return ok();
    const auto oldest = segments_->oldest();
    if (!oldest) return fail(Errc::out_of_resources, "the cache's index leaves no room for blocks");
    const uint64_t half = segments_->size_of(*oldest) / 2;
    ASTER_TRY(const uint64_t kept, evict(*oldest, std::max(half, keep_whole)));
    keep_whole -= std::min(keep_whole, kept);
    index_->measure();
  }
}

Result<uint64_t> BlockStore::evict(uint64_t segment, uint64_t keep_at_most) {
  if (segments_->count() == 1) segments_->seal();
  const uint64_t size = segments_->size_of(segment);
  const uint64_t kept = reinsert(sort_out(segment), keep_at_most);
  ASTER_TRY(segments_->drop(segment));
  evicted_bytes_ += size - std::min(size, kept);
  return kept;
}

/// How many of the first survivors fit into one append.
size_t BlockStore::group_length(std::span<const Survivor> survivors) {
  uint64_t size = 0;
  size_t count = 0;
  for (; count < survivors.size() && count < SegmentStore::kMaxAppendBlocks; ++count) {
    size += record_size(survivors[count].where.length);
    if (size > SegmentStore::kMaxAppendBytes) break;
  }
  return count;
}

/// Forgets the cold blocks of a segment and returns the others, the hottest first.
std::vector<BlockStore::Survivor> BlockStore::sort_out(uint64_t segment) {
  std::vector<Survivor> hot;
  std::vector<BlockKey> cold;
  const auto visited = segments_->visit_records(
      segment, [&](const block_format::RecordHeader& record, uint32_t offset) {
        auto where = index_->find(record.key);
        if (!where.ok() || where->segment != segment || where->offset != offset) return;
        const int heat = where->heat + heat_.peek(record.key);
        where->heat = static_cast<uint8_t>(std::min<int>(heat, block_format::kMaxHeat));
        if (heat > 0 && hot.size() < kMaxSurvivors) {
          hot.push_back({record.key, *where});
        } else {
          cold.push_back(record.key);
          if (cold.size() == kRemoveBatch) forget(cold);
        }
      });
  if (!visited.ok()) {
    ASTER_LOG(debug, "cache_segment_unreadable", {"segment", segment}, {"err", visited.error()});
  }
  forget(cold);
  std::stable_sort(hot.begin(), hot.end(), [](const Survivor& a, const Survivor& b) {
    return a.where.heat > b.where.heat;
  });
  return hot;
}

/// Best effort: entries that stay behind are stale, and stale entries are misses.
void BlockStore::forget(std::vector<BlockKey>& keys) {
  if (!keys.empty() && !index_->remove(keys).ok()) {
    ASTER_LOG(debug, "cache_index_entries_left", {"count", keys.size()});
  }
  keys.clear();
}

/// Writes survivors again, up to `budget` bytes of records; forgets the others. Returns the bytes
/// kept.
uint64_t BlockStore::reinsert(std::vector<Survivor> hot, uint64_t budget) {
  size_t chosen = 0;
  for (uint64_t sum = 0; chosen < hot.size(); ++chosen) {
    sum += record_size(hot[chosen].where.length);
    if (sum > budget) break;
  }
  std::vector<BlockKey> gone;
  for (size_t i = chosen; i < hot.size(); ++i) gone.push_back(hot[i].key);
  hot.resize(chosen);
  std::sort(hot.begin(), hot.end(),
            [](const Survivor& a, const Survivor& b) { return a.where.offset < b.where.offset; });
  uint64_t kept = 0;
  for (std::span<const Survivor> left = hot; !left.empty();) {
    const size_t count = group_length(left);
    kept += copy_group(left.first(count), gone);
    left = left.subspan(count);
  }
  forget(gone);
  return kept;
}

/// Reads one append's worth of survivors and writes them again. Those that cannot be read, or all
/// when the disk takes no more, are added to `gone`. Returns the bytes kept.
uint64_t BlockStore::copy_group(std::span<const Survivor> group, std::vector<BlockKey>& gone) {
  std::vector<Survivor> sound;
  std::vector<Bytes> bytes;
  for (const Survivor& survivor : group) {
    auto read = segments_->read(survivor.key, survivor.where, copy_pool_);
    if (read.ok()) {
      sound.push_back(survivor);
      bytes.push_back(std::move(*read));
    } else {
      gone.push_back(survivor.key);
    }
  }
  if (sound.empty()) return 0;
  const auto kept = append_again(sound, bytes);
  if (kept.ok()) return *kept;
  for (const Survivor& survivor : sound) gone.push_back(survivor.key);
  return 0;
}

Result<uint64_t> BlockStore::append_again(std::span<const Survivor> group,
                                          std::span<const Bytes> bytes) {
  std::vector<BlockToStore> blocks;
  for (size_t i = 0; i < group.size(); ++i) {
    blocks.push_back({group[i].key, group[i].where.crc32c, bytes[i].view()});
  }
  ASTER_TRY(const auto locations, segments_->append(blocks));
  std::vector<BlockIndex::Entry> entries;
  uint64_t total = 0;
  for (size_t i = 0; i < group.size(); ++i) {
    Location where = locations[i];
    // One round of grace is used up; without new reads a block leaves after three.
    where.heat = static_cast<uint8_t>(group[i].where.heat - 1);
    heat_.clear(group[i].key);
    entries.emplace_back(group[i].key, where);
    total += record_size(where.length);
  }
  ASTER_TRY(index_->put(entries));
  return total;
}

}  // namespace aster
