#include "cache/spill_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "cache/writeback_journal.h"
#include "protocol/base/errc.h"
#include "protocol/base/log.h"
#include "protocol/base/unique_handle.h"
#include "protocol/checksum.h"

namespace aster {
namespace {

// A new file is begun from here on: no file system's largest file is near.
constexpr uint64_t kLargestFile = 1ull << 40;
// Far below IOV_MAX.
constexpr size_t kVectors = 256;

uint64_t whole_sectors(uint64_t bytes) {
  return (bytes + SpillFile::kSector - 1) / SpillFile::kSector * SpillFile::kSector;
}

Error disk_error(const std::string& what, const std::filesystem::path& where, int code) {
  return Error{errc_from_errno(code), what + " " + where.string() + ": " + std::strerror(code)};
}

std::vector<uint32_t> sector_checksums(ByteView bytes) {
  std::vector<uint32_t> checksums;
  for (size_t at = 0; at < bytes.size(); at += SpillFile::kSector) {
    checksums.push_back(
        crc32c(bytes.subspan(at, std::min<size_t>(SpillFile::kSector, bytes.size() - at))));
  }
  return checksums;
}

const std::array<std::byte, SpillFile::kSector>& zeros() {
  static constexpr std::array<std::byte, SpillFile::kSector> bytes{};
  return bytes;
}

/// The pieces, each filled up to whole sectors, so that each can be given back alone.
std::vector<iovec> vectors_of(const std::vector<Bytes>& pieces) {
  std::vector<iovec> vectors;
  for (const Bytes& piece : pieces) {
    vectors.push_back({const_cast<std::byte*>(piece.data()), piece.size()});
    const uint64_t fill = whole_sectors(piece.size()) - piece.size();
    if (fill > 0) vectors.push_back({const_cast<std::byte*>(zeros().data()), fill});
  }
  return vectors;
}

}  // namespace

struct SpillFile::File {
  UniqueFd fd;
  uint64_t end = 0;  // where the next extent goes; under the state's lock

  void punch(uint64_t offset, uint64_t length) const {
    const int punched = ::fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                    static_cast<off_t>(offset), static_cast<off_t>(length));
    if (punched != 0) ASTER_LOG(debug, "spill_not_freed", {"errno", errno});
  }
};

SpillFile::SpillFile(SpillOptions options, Executor& executor, FileLayer& files)
    : options_(std::move(options)), executor_(executor), files_(files) {}

SpillFile::~SpillFile() = default;

bool SpillFile::take_room(uint64_t amount) {
  auto state = state_.lock();
  if (state->bytes + amount > options_.limit_bytes) return false;
  if (options_.journal != nullptr && !options_.journal->set_aside(amount)) return false;
  state->bytes += amount;
  return true;
}

void SpillFile::give_room(uint64_t amount) {
  auto state = state_.lock();
  state->bytes -= amount;
  if (options_.journal != nullptr) options_.journal->give_back(amount);
}

uint64_t SpillFile::bytes() const {
  return state_.lock()->bytes;
}

Result<std::shared_ptr<SpillFile::File>> SpillFile::file_for(uint64_t amount, uint64_t& offset) {
  auto state = state_.lock();
  if (!state->file || state->file->end > kLargestFile) {
    std::error_code error;
    std::filesystem::create_directories(options_.directory, error);
    if (error) return disk_error("create", options_.directory, error.value());
    UniqueFd fd(::open(options_.directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (!fd && (errno == EOPNOTSUPP || errno == EISDIR)) {  // a file system without such files
      std::string name = options_.directory / "spill-XXXXXX";
      fd = UniqueFd(::mkostemp(name.data(), O_CLOEXEC));
      if (fd) ::unlink(name.c_str());
    }
    if (!fd) return disk_error("make a file in", options_.directory, errno);
    state->file = std::make_shared<File>();
    state->file->fd = std::move(fd);
  }
  offset = std::exchange(state->file->end, state->file->end + amount);
  return state->file;
}

Result<void> SpillFile::write_at(const File& file, uint64_t offset,
                                 const std::vector<Bytes>& pieces) {
  std::vector<iovec> vectors = vectors_of(pieces);
  for (size_t next = 0; next < vectors.size();) {
    const std::span<const iovec> some(vectors.data() + next,
                                      std::min(kVectors, vectors.size() - next));
    const ssize_t n = files_.write(file.fd.get(), some, offset);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return disk_error("spill to", options_.directory, n < 0 ? errno : ENOSPC);
    offset += static_cast<uint64_t>(n);
    auto left = static_cast<size_t>(n);
    while (next < vectors.size() && left >= vectors[next].iov_len) left -= vectors[next++].iov_len;
    if (left == 0) continue;
    vectors[next].iov_base = static_cast<std::byte*>(vectors[next].iov_base) + left;
    vectors[next].iov_len -= left;
  }
  // Only now the memory may go: what the disk refuses later would be lost.
  if (::fdatasync(file.fd.get()) != 0) return disk_error("spill to", options_.directory, errno);
  return ok();
}

Result<std::vector<SpillFile::ExtentPtr>> SpillFile::write(const std::vector<Bytes>& pieces) {
  uint64_t room = 0;
  for (const Bytes& piece : pieces) room += whole_sectors(piece.size());
  if (!take_room(room)) {
    return fail(Errc::no_space, "the bound of the write-back journal is reached");
  }
  uint64_t offset = 0;
  Result<std::shared_ptr<File>> file = file_for(room, offset);
  Result<void> written = file.ok() ? write_at(**file, offset, pieces) : Result<void>(file.error());
  if (!written.ok()) {
    {
      // The next attempt starts afresh: the disk may have been changed, or the file be damaged.
      auto state = state_.lock();
      if (file.ok() && state->file == *file) state->file.reset();
    }
    give_room(room);
    if (file.ok()) (*file)->punch(offset, room);
    return written.error();
  }
  std::vector<ExtentPtr> extents;
  for (const Bytes& piece : pieces) {
    const std::shared_ptr<Extent> extent(new Extent);
    extent->owner_ = shared_from_this();
    extent->file_ = *file;
    extent->offset_ = offset;
    extent->length_ = piece.size();
    extent->room_ = whole_sectors(piece.size());
    extent->checksums_ = sector_checksums(piece.view());
    offset += extent->room_;
    extents.push_back(extent);
  }
  return extents;
}

SpillFile::Extent::~Extent() {
  if (owner_) owner_->free(file_, offset_, room_);
}

// The last owner may let go under a lock: the disk is touched elsewhere.
void SpillFile::free(const std::shared_ptr<File>& file, uint64_t offset, uint64_t room) {
  give_room(room);
  executor_.post([file, offset, room] { file->punch(offset, room); });
}

Result<Bytes> SpillFile::Extent::read(uint64_t offset, uint64_t length) const {
  const uint64_t begin = offset - offset % kSector;
  const uint64_t end = std::min(whole_sectors(offset + length), length_);
  std::string text(end - begin, '\0');
  for (uint64_t done = 0; done < text.size();) {
    const iovec piece{text.data() + done, text.size() - done};
    const ssize_t n = owner_->files_.read(file_->fd.get(), {&piece, 1}, offset_ + begin + done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return disk_error("read what was spilled to", owner_->options_.directory, errno);
    if (n == 0) return fail(Errc::corrupt, "what was spilled is gone");
    done += static_cast<uint64_t>(n);
  }
  const std::vector<uint32_t> found = sector_checksums(as_bytes(text));
  if (!std::equal(found.begin(), found.end(), checksums_.begin() + begin / kSector)) {
    return fail(Errc::corrupt, "what was spilled to " + owner_->options_.directory.string() +
                                   " does not match its checksum");
  }
  return Bytes::from_string(std::move(text)).slice(offset - begin, length);
}

}  // namespace aster
