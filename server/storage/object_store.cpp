#include "server/storage/object_store.h"

#include <algorithm>
#include <array>
#include <atomic>

#include "protocol/base/bytes.h"
#include "protocol/checksum.h"
#include "protocol/object_key.h"

namespace aster::storage {
namespace {

// Buffered writes are fastest in pieces of 128 to 512 KiB (measured, ext4).
constexpr size_t kPiece = 256 * 1024;
constexpr size_t kLeastPiece = 16 * 1024;
// Many uploads at once take smaller pieces, so that memory stays flat: 256 take about 30 MiB.
constexpr size_t kPiecesMemory = 8 << 20;

/// Counts the uploads of this process while it lives.
class UnderWay {
 public:
  UnderWay() : number_(++count_) {}
  ~UnderWay() { --count_; }
  UnderWay(const UnderWay&) = delete;
  UnderWay& operator=(const UnderWay&) = delete;
  /// Size of each of the two buffers of this upload.
  size_t piece() const { return std::clamp(kPiecesMemory / 2 / number_, kLeastPiece, kPiece); }

 private:
  static inline std::atomic<size_t> count_{0};
  const size_t number_;
};

/// Takes the pieces of one body: digests and writes each on the executor while the next one is read
/// from the network.
class Ingest {
 public:
  Ingest(StagedObject& staged, bool with_crc, Executor& executor)
      : staged_(staged), with_crc_(with_crc), executor_(executor) {}

  /// Starts on `piece`, which must stay until the next wait().
  void start_piece(ByteView piece) {
    done_ = Completion<Result<void>>();
    busy_ = true;
    start<Result<void>>(take(piece), [done = done_](Result<void> r) { done.set(std::move(r)); });
  }
  /// Until the last piece is written.
  Task<Result<void>> wait() {
    if (!busy_) co_return ok();
    Result<void> outcome = co_await done_;
    busy_ = false;
    co_return outcome;
  }

  std::string sha256_hex() { return to_hex(sha_.finish()); }
  uint32_t crc() const { return crc_; }

 private:
  Task<Result<void>> take(ByteView piece) {
    co_await executor_.hop();
    sha_.update(piece);
    if (with_crc_) crc_ = crc32c(piece, crc_);
    Result<void> written = co_await staged_.write(piece);
    co_return written;
  }

  StagedObject& staged_;
  const bool with_crc_;
  Executor& executor_;
  Sha256 sha_;
  uint32_t crc_ = 0;
  bool busy_ = false;
  Completion<Result<void>> done_;
};

/// Fills `out` whole; io_error when the body ends before.
Task<Result<void>> read_full(std::shared_ptr<ByteSource> body, std::span<std::byte> out) {
  while (!out.empty()) {
    ASTER_CO_TRY(const size_t n, co_await body->read(out));
    if (n == 0) co_return fail(Errc::io_error, "the body is shorter than its Content-Length");
    out = out.subspan(n);
  }
  co_return ok();
}

/// Pumps the body through two buffers. Whatever happens, nothing is under way afterwards.
Task<Result<void>> pump(std::shared_ptr<ByteSource> body, Ingest& ingest, uint64_t length) {
  const UnderWay self;
  const size_t size = static_cast<size_t>(std::min<uint64_t>(length, self.piece()));
  std::array<std::vector<std::byte>, 2> buffers{std::vector<std::byte>(size), {}};
  if (length > size) buffers[1].resize(size);
  Result<void> outcome;
  for (size_t turn = 0; length > 0; turn ^= 1) {
    const size_t n = static_cast<size_t>(std::min<uint64_t>(length, size));
    const auto piece = std::span(buffers[turn]).first(n);
    const Result<void> got = co_await read_full(body, piece);
    outcome = co_await ingest.wait();
    if (!got.ok()) co_return got;
    if (!outcome.ok()) co_return outcome;
    ingest.start_piece(piece);
    length -= n;
  }
  outcome = co_await ingest.wait();
  co_return outcome;
}

}  // namespace

Task<Result<std::string>> ObjectStore::put(std::string key, std::shared_ptr<ByteSource> body,
                                           PutOptions options) const {
  Executor& executor = executor_;
  ASTER_CO_TRY(std::string path, object_path(namespace_, key));
  ASTER_CO_TRY(const auto staged, co_await target_->stage(std::move(path), options.length));
  Ingest ingest(*staged, options.crc32c.has_value(), executor);
  ASTER_CO_TRY(co_await pump(std::move(body), ingest, options.length));
  if (options.crc32c && *options.crc32c != ingest.crc()) {
    co_return fail(Errc::corrupt, "the body does not match its checksum");
  }
  ASTER_CO_TRY(co_await staged->commit());
  co_return ingest.sha256_hex();
}

Task<Result<OpenObject>> ObjectStore::open(std::string key) const {
  ASTER_CO_TRY(std::string path, object_path(namespace_, key));
  Result<OpenObject> opened = co_await target_->open(std::move(path));
  co_return opened;
}

Task<Result<uint64_t>> ObjectStore::stat(std::string key) const {
  ASTER_CO_TRY(std::string path, object_path(namespace_, key));
  const Result<uint64_t> size = co_await target_->stat(std::move(path));
  co_return size;
}

Task<Result<void>> ObjectStore::remove(std::string key) const {
  ASTER_CO_TRY(std::string path, object_path(namespace_, key));
  Result<void> removed = co_await target_->remove(std::move(path));
  co_return removed;
}

Task<Result<ObjectList>> ObjectStore::list(std::string prefix, uint64_t cursor,
                                           std::optional<uint64_t> limit) const {
  const size_t skip = namespace_.size() + 1;
  ASTER_CO_TRY(std::string path, prefix_path(namespace_, prefix));
  ASTER_CO_TRY(ListPage page,
               co_await target_->list(std::move(path), cursor, limit.value_or(UINT64_MAX)));
  ObjectList out;
  for (const std::string& found : page.paths) out.items.push_back(found.substr(skip));
  if (page.more) out.next_cursor = cursor + out.items.size();
  co_return out;
}

Task<Result<uint64_t>> ObjectStore::compose(std::string key, std::vector<std::string> parts,
                                            ComposeOptions options) const {
  ASTER_CO_TRY(std::string path, object_path(namespace_, key));
  for (std::string& part : parts) {
    ASTER_CO_TRY(part, object_path(namespace_, part));
    if (part == path) co_return fail(Errc::bad_request, "a part is the destination itself");
  }
  const Result<uint64_t> written =
      co_await target_->compose(std::move(path), std::move(parts), options);
  co_return written;
}

Task<Result<uint64_t>> ObjectStore::join_pieces(std::string key, std::vector<PartRange> parts,
                                                uint64_t expected_size) const {
  ASTER_CO_TRY(std::string path, object_path(namespace_, key));
  std::vector<ObjectPiece> pieces;
  for (const PartRange& part : parts) {
    ObjectPiece piece{.offset = part.offset, .length = part.length};
    ASTER_CO_TRY(piece.path, object_path(namespace_, part.key));
    if (piece.path == path) co_return fail(Errc::bad_request, "a part is the destination itself");
    pieces.push_back(std::move(piece));
  }
  ASTER_CO_TRY(const uint64_t total, total_length(pieces));
  if (total != expected_size) {
    co_return fail(Errc::corrupt, "the parts are " + std::to_string(total) + " bytes, not " +
                                      std::to_string(expected_size));
  }
  const Result<uint64_t> written =
      co_await target_->join_pieces(std::move(path), std::move(pieces));
  co_return written;
}

Task<std::vector<Result<void>>> ObjectStore::remove_many(std::vector<std::string> keys) const {
  std::vector<Result<void>> out(keys.size());
  std::vector<std::string> paths;
  std::vector<size_t> places;
  for (size_t i = 0; i < keys.size(); ++i) {
    Result<std::string> path = object_path(namespace_, keys[i]);
    if (!path.ok()) {
      out[i] = path.error();
      continue;
    }
    paths.push_back(std::move(*path));
    places.push_back(i);
  }
  const std::vector<Result<void>> removed = co_await target_->remove_many(std::move(paths));
  for (size_t i = 0; i < places.size(); ++i) out[places[i]] = removed[i];
  co_return out;
}

}  // namespace aster::storage
