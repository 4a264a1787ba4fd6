#include "server/primary/target_driver.h"

#include <algorithm>

#include "protocol/checksum.h"

namespace aster::primary {
namespace {

constexpr size_t kCopyBuffer = 256 * 1024;

/// What the storage refuses to this server says nothing of the rights of whoever asked this server,
/// and what changed under its hands may go well the next time.
Error seen_by_callers(Error error) {
  if (error.code == Errc::access_denied) error.code = Errc::precondition_failed;
  if (error.code == Errc::stale_handle || error.code == Errc::stale_version) {
    error.code = Errc::unavailable;
  }
  return error;
}

template <class T>
Result<T> for_callers(Result<T> outcome) {
  if (!outcome.ok()) return seen_by_callers(outcome.error());
  return outcome;
}

Result<void> removal_for_callers(Result<void> removed) {
  if (removed.failed_with(Errc::not_found)) return ok();
  return for_callers(std::move(removed));
}

}  // namespace

std::string object_name(const std::string& base_path, const ObjectId& object) {
  const std::string name = "files/" + object.hex();
  return base_path.empty() ? name : base_path + "/" + name;
}

Task<Result<void>> TargetDriver::put(ObjectId object, ObjectUpload upload) {
  Result<void> stored = co_await store(path(object), std::move(upload));
  co_return for_callers(std::move(stored));
}

Task<Result<void>> TargetDriver::store(std::string name, ObjectUpload upload) {
  ASTER_CO_TRY(const std::unique_ptr<storage::StagedObject> staged,
               co_await storage_->stage(std::move(name), upload.length));
  std::vector<std::byte> buffer(
      std::min<uint64_t>(kCopyBuffer, std::max<uint64_t>(upload.length, 1)));
  uint64_t left = upload.length;
  uint32_t crc = 0;
  while (left > 0) {
    const auto room = std::span(buffer).first(std::min<uint64_t>(left, buffer.size()));
    ASTER_CO_TRY(const size_t n, co_await upload.body->read(room));
    if (n == 0) co_return fail(Errc::bad_request, "the body ended early");
    if (upload.crc32c) crc = crc32c(room.first(n), crc);
    ASTER_CO_TRY(co_await staged->write(room.first(n)));
    left -= n;
  }
  if (upload.crc32c && crc != *upload.crc32c) {
    co_return fail(Errc::corrupt, "the body does not match its CRC32C");
  }
  co_return co_await staged->commit();
}

Task<ApiResult<ObjectBody>> TargetDriver::open(ObjectId object, WantedRange wanted) {
  Result<storage::OpenObject> opened = co_await storage_->open(path(object));
  ASTER_CO_TRY(storage::OpenObject found, for_callers(std::move(opened)));
  RangeRequest request;
  if (wanted.header) request.header = *wanted.header;
  ASTER_CO_TRY(const std::optional<ByteRange> range, resolve_range(request, found.size));
  ObjectBody body{.size = found.size, .range = {0, found.size}, .partial = range.has_value()};
  if (range) body.range = *range;
  if (found.fd) {
    body.bytes = http::FileBody{std::move(found.fd), body.range.offset, body.range.length};
  } else {
    body.bytes = found.stream(body.range.offset, body.range.length);
  }
  co_return body;
}

Task<Result<uint64_t>> TargetDriver::stat(ObjectId object) {
  Result<uint64_t> size = co_await storage_->stat(path(object));
  co_return for_callers(std::move(size));
}

Task<Result<void>> TargetDriver::remove(ObjectId object) {
  Result<void> removed = co_await storage_->remove(path(object));
  co_return removal_for_callers(std::move(removed));
}

Task<std::vector<Result<void>>> TargetDriver::remove_many(std::vector<ObjectId> objects) {
  std::vector<std::string> names;
  for (const ObjectId& object : objects) names.push_back(path(object));
  std::vector<Result<void>> removed = co_await storage_->remove_many(std::move(names));
  for (Result<void>& one : removed) one = removal_for_callers(std::move(one));
  co_return removed;
}

Task<Result<ObjectBackends::Composed>> TargetDriver::compose(ObjectId target,
                                                             std::vector<ObjectId> parts,
                                                             uint64_t expected_size) {
  std::vector<std::string> names;
  for (const ObjectId& part : parts) names.push_back(path(part));
  const storage::ComposeOptions options{.expected_size = expected_size, .keep_parts = true};
  Result<uint64_t> composed = co_await storage_->compose(path(target), std::move(names), options);
  ASTER_CO_TRY(const uint64_t size, for_callers(std::move(composed)));
  co_return ObjectBackends::Composed{.size = size, .parts_kept = true};
}

Task<Result<uint64_t>> TargetDriver::join_pieces(ObjectId target,
                                                 std::vector<ObjectBackends::Piece> pieces) {
  std::vector<storage::ObjectPiece> named;
  for (const ObjectBackends::Piece& piece : pieces) {
    named.push_back({path(piece.object), piece.offset, piece.length});
  }
  Result<uint64_t> size = co_await storage_->join_pieces(path(target), std::move(named));
  co_return for_callers(std::move(size));
}

Task<Result<ObjectBackends::Capacity>> TargetDriver::capacity() {
  ASTER_CO_TRY(const storage::Capacity found, co_await storage_->capacity());
  co_return ObjectBackends::Capacity{.total = found.total, .free = found.available};
}

}  // namespace aster::primary
