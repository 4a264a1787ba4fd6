#include "cache/segment_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>

#include "protocol/checksum.h"

namespace aster {
namespace {

using block_format::kFileHeaderSize;
using block_format::kRecordAlignment;
using block_format::kRecordHeaderSize;
using block_format::Location;
using block_format::RecordHeader;

constexpr uint64_t kFsBlock = 4096;
constexpr size_t kNameDigits = 16;
constexpr std::string_view kSuffix = ".seg";
// Headers of full blocks lie 128 KiB apart: a larger look would read payload for nothing.
constexpr size_t kWalkPiece = 4096;

uint64_t disk_size(uint64_t size) {
  return (size + kFsBlock - 1) / kFsBlock * kFsBlock;
}

std::string file_name(uint64_t number) {
  char name[kNameDigits + 8];
  std::snprintf(name, sizeof name, "%016llx.seg", static_cast<unsigned long long>(number));
  return name;
}

std::optional<uint64_t> number_of(std::string_view name) {
  if (name.size() != kNameDigits + kSuffix.size() || !name.ends_with(kSuffix)) return std::nullopt;
  uint64_t number = 0;
  const char* end = name.data() + kNameDigits;
  const auto [parsed, error] = std::from_chars(name.data(), end, number, 16);
  if (error != std::errc() || parsed != end || number == 0) return std::nullopt;
  return number;
}

iovec piece_of(ByteView bytes) {
  return {const_cast<std::byte*>(bytes.data()), bytes.size()};
}

/// Takes `n` written bytes off the front.
void advance(std::vector<iovec>& pieces, size_t& first, size_t n) {
  while (first < pieces.size() && n >= pieces[first].iov_len) n -= pieces[first++].iov_len;
  if (n == 0) return;
  pieces[first].iov_base = static_cast<char*>(pieces[first].iov_base) + n;
  pieces[first].iov_len -= n;
}

}  // namespace

struct SegmentStore::Segment {
  explicit Segment(uint64_t n) : number(n) {}
  const uint64_t number;
  std::atomic<uint64_t> size{0};
  std::atomic<bool> dropped{false};
  UniqueFd direct;  ///< of the writer, past the page cache; empty where that does not work
  std::mutex opening;
  UniqueFd fd;        ///< guarded by opening until it is set, constant afterwards
  bool good = false;  ///< guarded by opening
};

SegmentStore::SegmentStore(UniqueFd directory, Options options, FileLayer& files,
                           const Clock& clock)
    : directory_(std::move(directory)),
      options_(std::move(options)),
      files_(files),
      clock_(clock) {}

Result<std::unique_ptr<SegmentStore>> SegmentStore::open(UniqueFd directory, Options options,
                                                         FileLayer& files, const Clock& clock) {
  std::unique_ptr<SegmentStore> store(
      new SegmentStore(std::move(directory), std::move(options), files, clock));
  ASTER_TRY(store->list());
  return store;
}

Result<void> SegmentStore::list() {
  UniqueFd copy(::openat(directory_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!copy) return fail_errno("open the directory of segments");
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::fdopendir(copy.get()), ::closedir);
  if (!dir) return fail_errno("list segments");
  copy.release();
  while (const dirent* entry = ::readdir(dir.get())) {
    const auto number = number_of(entry->d_name);
    struct stat st {};
    if (!number || ::fstatat(directory_.get(), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
      continue;
    }
    auto segment = std::make_shared<Segment>(*number);
    segment->size = static_cast<uint64_t>(st.st_size);
    bytes_ += disk_size(segment->size);
    next_ = std::max(next_, *number + 1);
    segments_.emplace(*number, std::move(segment));
  }
  return ok();
}

SegmentStore::SegmentRef SegmentStore::find(uint64_t number) const {
  std::shared_lock lock(mutex_);
  const auto found = segments_.find(number);
  return found == segments_.end() ? nullptr : found->second;
}

bool SegmentStore::alive(uint64_t segment) const {
  return find(segment) != nullptr;
}

size_t SegmentStore::count() const {
  std::shared_lock lock(mutex_);
  return segments_.size();
}

std::optional<uint64_t> SegmentStore::oldest() const {
  std::shared_lock lock(mutex_);
  if (segments_.empty()) return std::nullopt;
  return segments_.begin()->first;
}

uint64_t SegmentStore::oldest_or_next() const {
  return oldest().value_or(next_);
}

uint64_t SegmentStore::size_of(uint64_t segment) const {
  const SegmentRef found = find(segment);
  return found ? found->size.load() : 0;
}

Result<int> SegmentStore::descriptor(Segment& segment) const {
  std::lock_guard lock(segment.opening);
  if (!segment.fd) {
    const std::string name = file_name(segment.number);
    segment.fd.reset(
        ::openat(directory_.get(), name.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOATIME));
    if (!segment.fd) return fail_errno("open segment " + name);
  }
  if (!segment.good) {
    ASTER_TRY(check_header(segment.fd.get(), segment.number));
    segment.good = true;
  }
  return segment.fd.get();
}

Result<void> SegmentStore::check_header(int fd, uint64_t number) const {
  block_format::FileHeaderBytes bytes{};
  const iovec piece{bytes.data(), bytes.size()};
  const ssize_t n = files_.read(fd, {&piece, 1}, 0);
  if (n < 0) return fail_errno("read segment " + file_name(number));
  ASTER_TRY(const auto header,
            block_format::decode_file_header(ByteView(bytes).first(static_cast<size_t>(n)),
                                             block_format::FileKind::segment));
  if (header.segment != number) return fail(Errc::corrupt, "segment under a wrong name");
  return ok();
}

Result<Bytes> SegmentStore::read(const BlockKey& key, const Location& where,
                                 BlockPool& pool) const {
  const SegmentRef segment = find(where.segment);
  if (!segment) return fail(Errc::not_found, "segment");
  ASTER_TRY(const int fd, descriptor(*segment));
  Block block = pool.take();
  block_format::RecordHeaderBytes header{};
  const iovec pieces[2] = {{header.data(), header.size()}, {block.data(), where.length}};
  const ssize_t n = files_.read(fd, pieces, where.offset);
  const int read_errno = errno;
  // A drop cuts the file under a reader: that is no corruption.
  if (segment->dropped) return fail(Errc::not_found, "segment");
  if (n < 0) return fail_errno(read_errno, "read a block");
  const RecordHeader expected{key, where.length, where.crc32c, where.segment};
  const bool whole = static_cast<size_t>(n) == header.size() + where.length;
  if (!whole || block_format::decode_record_header(header) != expected) {
    return fail(Errc::corrupt, "a record is not what the index says");
  }
  if (crc32c(block.span().first(where.length)) != where.crc32c) {
    return fail(Errc::corrupt, "a block has a wrong checksum");
  }
  return std::move(block).freeze(where.length);
}

void SegmentStore::grow(Segment& segment, uint64_t size) {
  bytes_ += disk_size(size) - disk_size(segment.size);
  segment.size = size;
}

Result<SegmentStore::SegmentRef> SegmentStore::begin_segment() {
  auto segment = std::make_shared<Segment>(next_++);
  const std::string name = file_name(segment->number);
  segment->fd.reset(::openat(directory_.get(), name.c_str(),
                             O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!segment->fd) return fail_errno("create a segment");
  segment->good = true;
  segment->direct.reset(
      ::openat(directory_.get(), name.c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC | O_NOFOLLOW));
  staged_ = 0;
  const auto header = block_format::encode(block_format::FileHeader{
      block_format::FileKind::segment, segment->number, clock_.now_ns(), options_.program});
  constexpr std::array<std::byte, kRecordAlignment - kFileHeaderSize> kPadding{};
  const Result<void> written = write_all(*segment, {piece_of(header), piece_of(kPadding)});
  if (!written.ok()) {
    ::unlinkat(directory_.get(), name.c_str(), 0);
    return Error(written.error());
  }
  std::lock_guard lock(mutex_);
  segments_.emplace(segment->number, segment);
  return segment;
}

void SegmentStore::seal() {
  if (active_) active_->direct.reset();
  active_.reset();
}

Result<SegmentStore::SegmentRef> SegmentStore::segment_for(uint64_t size) {
  if (active_ && active_->size + size > options_.segment_bytes) seal();
  if (!active_) {
    ASTER_TRY(active_, begin_segment());
  }
  return active_;
}

// Blocks are read back from memory or from the kernel's pages of the mount first: copies in the
// page cache cost more CPU than the whole rest of a cold read (measured: up to 1.5 s per GiB in
// fresh memory, 0.15 s past it), and drive out what is of use. Whole pages are written, the last
// one again with what follows it.
Result<void> SegmentStore::write_direct(Segment& segment, const std::vector<iovec>& pieces) {
  size_t total = 0;
  for (const iovec& piece : pieces) total += piece.iov_len;
  const size_t filled = staged_ + total;
  const size_t padded = disk_size(filled);
  stage(pieces, padded);
  const uint64_t begin = segment.size - staged_;
  for (size_t done = 0; done < padded;) {
    const iovec rest{staging_.get() + done, padded - done};
    const ssize_t n = files_.write(segment.direct.get(), {&rest, 1}, begin + done);
    if (n < 0 && errno == EINTR) continue;
    const size_t pages = n <= 0 ? 0 : static_cast<size_t>(n) / kFsBlock * kFsBlock;
    if (pages == 0) {
      const int err = n >= 0 ? ENOSPC : errno;
      if (::ftruncate(segment.fd.get(), static_cast<off_t>(segment.size.load())) != 0) {
        grow(segment, begin + padded);
        seal();
      }
      return fail_errno(err, "write a segment");
    }
    done += pages;
  }
  grow(segment, segment.size + total);
  const size_t whole = filled / kFsBlock * kFsBlock;
  staged_ = filled - whole;
  std::memmove(staging_.get(), staging_.get() + whole, staged_);
  return ok();
}

/// Puts the pieces behind what is staged, and zeros up to `padded`.
void SegmentStore::stage(const std::vector<iovec>& pieces, size_t padded) {
  if (padded > staging_size_) {
    std::unique_ptr<std::byte, void (*)(void*)> larger(
        static_cast<std::byte*>(std::aligned_alloc(kFsBlock, padded)), std::free);
    if (!larger) throw std::bad_alloc();
    if (staged_ != 0) std::memcpy(larger.get(), staging_.get(), staged_);
    staging_ = std::move(larger);
    staging_size_ = padded;
  }
  std::byte* end = staging_.get() + staged_;
  for (const iovec& piece : pieces) {
    std::memcpy(end, piece.iov_base, piece.iov_len);
    end += piece.iov_len;
  }
  std::memset(end, 0, static_cast<size_t>(staging_.get() + padded - end));
}

Result<void> SegmentStore::write_all(Segment& segment, std::vector<iovec> pieces) {
  if (segment.direct) {
    Result<void> written = write_direct(segment, pieces);
    if (!written.failed_with(Errc::bad_request)) return written;
    segment.direct.reset();  // EINVAL: this file system wants another alignment, or none
  }
  uint64_t end = segment.size;
  for (size_t first = 0; first < pieces.size();) {
    const ssize_t n = files_.write(segment.fd.get(), std::span(pieces).subspan(first), end);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const int err = n == 0 ? EIO : errno;
      // What did arrive is cut off again, so that the limit counts every byte on the disk.
      if (::ftruncate(segment.fd.get(), static_cast<off_t>(segment.size.load())) != 0) {
        grow(segment, end);
        seal();
      }
      return fail_errno(err, "write a segment");
    }
    end += static_cast<uint64_t>(n);
    advance(pieces, first, static_cast<size_t>(n));
  }
  grow(segment, end);
  return ok();
}

Result<std::vector<Location>> SegmentStore::append(std::span<const BlockToStore> blocks) {
  uint64_t total = 0;
  for (const BlockToStore& block : blocks) total += block_format::record_size(block.bytes.size());
  ASTER_TRY(const SegmentRef segment, segment_for(total));
  static constexpr std::array<std::byte, kRecordAlignment> kPadding{};
  std::vector<Location> locations;
  std::vector<block_format::RecordHeaderBytes> headers(blocks.size());
  std::vector<iovec> pieces;
  uint64_t offset = segment->size;
  for (size_t i = 0; i < blocks.size(); ++i) {
    const BlockToStore& block = blocks[i];
    const auto length = static_cast<uint32_t>(block.bytes.size());
    headers[i] = encode(RecordHeader{block.key, length, block.crc32c, segment->number});
    locations.push_back({segment->number, static_cast<uint32_t>(offset), length, block.crc32c, 0});
    const uint64_t size = block_format::record_size(length);
    pieces.push_back(piece_of(headers[i]));
    pieces.push_back(piece_of(block.bytes));
    const size_t rest = size - kRecordHeaderSize - length;
    if (rest != 0) pieces.push_back(piece_of(ByteView(kPadding).first(rest)));
    offset += size;
  }
  ASTER_TRY(write_all(*segment, std::move(pieces)));
  return locations;
}

Result<void> SegmentStore::visit_records(uint64_t number, const Visitor& visit) const {
  const SegmentRef segment = find(number);
  if (!segment) return fail(Errc::not_found, "segment");
  ASTER_TRY(const int fd, descriptor(*segment));
  std::array<std::byte, kWalkPiece> buffer;
  uint64_t begin = 0;
  size_t filled = 0;
  for (uint64_t at = kRecordAlignment; at + kRecordHeaderSize <= segment->size;) {
    if (at < begin || at + kRecordHeaderSize > begin + filled) {
      const iovec piece{buffer.data(), buffer.size()};
      const ssize_t n = files_.read(fd, {&piece, 1}, at);
      if (n < 0) return fail_errno("read segment " + file_name(number));
      begin = at;
      filled = static_cast<size_t>(n);
    }
    const auto view = ByteView(buffer).first(filled).subspan(std::min<size_t>(at - begin, filled));
    const auto header = block_format::decode_record_header(view);
    if (!header || header->segment != number) break;
    visit(*header, static_cast<uint32_t>(at));
    at += block_format::record_size(header->length);
  }
  return ok();
}

Result<void> SegmentStore::drop(uint64_t number) {
  const SegmentRef segment = find(number);
  if (!segment) return ok();
  if (segment == active_) seal();
  segment->dropped = true;
  const std::string name = file_name(number);
  if (::unlinkat(directory_.get(), name.c_str(), 0) != 0 && errno != ENOENT) {
    segment->dropped = false;
    return fail_errno("remove segment " + name);
  }
  {
    std::lock_guard opening(segment->opening);
    // A reader may still hold the file open; its space must come back now.
    if (segment->fd && ::ftruncate(segment->fd.get(), 0) != 0) { /* the last close frees it */
    }
  }
  bytes_ -= disk_size(segment->size);
  std::lock_guard lock(mutex_);
  segments_.erase(number);
  return ok();
}

}  // namespace aster
