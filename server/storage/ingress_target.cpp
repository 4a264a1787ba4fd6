#include "server/storage/ingress_target.h"

#include <unistd.h>

#include <algorithm>

namespace aster::storage {
namespace {

constexpr size_t kCopyPiece = 256 * 1024;
constexpr size_t kRemovalsAtOnce = 64;

/// One read from wherever the object's bytes are.
Task<Result<size_t>> read_some(const OpenObject& object, std::shared_ptr<ByteSource> stream,
                               uint64_t at, std::span<std::byte> out) {
  if (stream) {
    Result<size_t> got = co_await stream->read(out);
    co_return got;
  }
  const ssize_t n = ::pread(object.fd.get(), out.data(), out.size(), static_cast<off_t>(at));
  if (n < 0) co_return fail_errno("read of a part");
  co_return static_cast<size_t>(n);
}

Task<Result<void>> append_piece(StagedObject& staged, const OpenObject& object, ObjectPiece piece) {
  std::vector<std::byte> buffer(std::min<uint64_t>(piece.length, kCopyPiece));
  const auto stream = object.fd ? nullptr : object.stream(piece.offset, piece.length);
  for (uint64_t done = 0; done < piece.length;) {
    const auto room =
        std::span(buffer).first(std::min<uint64_t>(buffer.size(), piece.length - done));
    ASTER_CO_TRY(const size_t n, co_await read_some(object, stream, piece.offset + done, room));
    if (n == 0) co_return fail(Errc::corrupt, "a part changed its size");
    ASTER_CO_TRY(co_await staged.write(room.first(n)));
    done += n;
  }
  co_return ok();
}

}  // namespace

Result<void> check_piece(const ObjectPiece& piece, uint64_t size) {
  if (piece.length == 0) return fail(Errc::bad_request, "a part of no bytes");
  if (piece.offset > size || piece.length > size - piece.offset) {
    return fail(Errc::bad_request,
                "a part ends behind its object of " + std::to_string(size) + " bytes");
  }
  return ok();
}

Result<uint64_t> total_length(const std::vector<ObjectPiece>& pieces) {
  uint64_t total = 0;
  for (const ObjectPiece& piece : pieces) {
    if (__builtin_add_overflow(total, piece.length, &total)) {
      return fail(Errc::bad_request, "the parts are longer than any object");
    }
  }
  return total;
}

Task<Result<uint64_t>> IngressTarget::join_pieces(std::string path,
                                                  std::vector<ObjectPiece> pieces) {
  ASTER_CO_TRY(const uint64_t size, total_length(pieces));
  ASTER_CO_TRY(const auto staged, co_await stage(std::move(path), size));
  for (const ObjectPiece& piece : pieces) {
    ASTER_CO_TRY(const OpenObject object, co_await open(piece.path));
    ASTER_CO_TRY(check_piece(piece, object.size));
    ASTER_CO_TRY(co_await append_piece(*staged, object, piece));
  }
  ASTER_CO_TRY(co_await staged->commit());
  co_return size;
}

Task<std::vector<Result<void>>> IngressTarget::remove_many(std::vector<std::string> paths) {
  std::vector<Result<void>> out;
  for (size_t from = 0; from < paths.size(); from += kRemovalsAtOnce) {
    std::vector<Task<Result<void>>> some;
    for (size_t i = from; i < std::min(paths.size(), from + kRemovalsAtOnce); ++i) {
      some.push_back(remove(std::move(paths[i])));
    }
    const std::vector<Result<void>> done = co_await when_all(std::move(some));
    out.insert(out.end(), done.begin(), done.end());
  }
  co_return out;
}

}  // namespace aster::storage
