#include "server/primary/piece_mover.h"

#include <algorithm>

#include "protocol/checksum.h"
#include "server/db/database.h"
#include "server/primary/extent_map.h"

namespace aster::primary {
namespace {

/// A piece is in memory.
constexpr uint64_t kPieceMax = 64ull << 20;

uint64_t whole_blocks(uint64_t bytes) {
  return (bytes + kBlockSize - 1) / kBlockSize * kBlockSize;
}

std::vector<uint32_t> block_sums(const Bytes& bytes) {
  BlockChecksums sums;
  sums.update(bytes.view());
  return sums.finish();
}

}  // namespace

Result<PieceMover::Piece> PieceMover::cut(db::Txn& txn, const db::ExtentRow& extent,
                                          const PolicyLimits& limits, Take take) {
  const uint64_t most = std::min({limits.part_size, limits.max_object, kPieceMax});
  const uint64_t part = std::max(most - most % kBlockSize, kBlockSize);
  db::ObjectStore objects(txn);
  std::optional<db::ObjectRow> object = objects.find(extent.object);
  if (!object) return fail(Errc::internal, "extent without object");
  Piece piece;
  piece.end = object->size;
  if (take == Take::extent || object->size > part) {
    piece.begin = extent.object_offset / kBlockSize * kBlockSize;
    piece.end = std::min(
        {object->size, piece.begin + part, whole_blocks(extent.object_offset + extent.length)});
  }
  const uint64_t blocks = whole_blocks(piece.end - piece.begin) / kBlockSize;
  piece.crcs = objects.checksums(object->id, piece.begin / kBlockSize, blocks);
  piece.object = std::move(*object);
  return piece;
}

Task<Result<uint64_t>> PieceMover::move(const Piece& piece, PolicyId policy,
                                        const Adoption& adoption) {
  ASTER_CO_TRY(Bytes bytes, co_await read(piece));
  const ObjectId name = ObjectId::random();
  const int64_t now = clock_.now_ns();
  const uint64_t workspace = piece.object.workspace;
  const Result<uint64_t> target = co_await database_.write([=](db::Txn& txn) -> Result<uint64_t> {
    db::FsStore store(txn);
    store.workspaces.add_usage(workspace, {0, 0, 1});
    return store.objects.insert_pending(name, workspace, policy, now);
  });
  if (!target.ok()) co_return target.error();
  ASTER_CO_TRY(co_await write_checked(policy, name, piece, std::move(bytes)));
  const Result<uint64_t> adopted = co_await adopt(piece, *target, adoption);
  co_return adopted;
}

Task<Result<Bytes>> PieceMover::read(const Piece& piece) {
  const uint64_t length = piece.end - piece.begin;
  ASTER_CO_TRY(const Bytes bytes, co_await backends_.read_range(
                                      piece.object.policy, piece.object.name, piece.begin, length));
  if (bytes.size() != length || block_sums(bytes) != piece.crcs) {
    co_return fail(Errc::corrupt, "object " + piece.object.name.hex() +
                                      " is not what was uploaded; nothing of it was moved");
  }
  co_return bytes;
}

// The old object is collected once the copy is named, and not every storage checks what reaches
// it: what it gives back decides.
Task<Result<void>> PieceMover::write_checked(PolicyId policy, ObjectId name, const Piece& piece,
                                             Bytes bytes) {
  ASTER_CO_TRY(co_await backends_.write(policy, name, std::move(bytes)));
  const uint64_t length = piece.end - piece.begin;
  ASTER_CO_TRY(const Bytes copy, co_await backends_.read_range(policy, name, 0, length));
  if (copy.size() != length || block_sums(copy) != piece.crcs) {
    co_return fail(Errc::corrupt,
                   "the new storage gives back other bytes than were written: the copy " +
                       name.hex() + " is not used, the data stays where it was");
  }
  co_return ok();
}

Task<Result<uint64_t>> PieceMover::adopt(const Piece& piece, uint64_t target,
                                         const Adoption& adoption) {
  const int64_t now = clock_.now_ns();
  const Result<uint64_t> moved = co_await database_.write([&](db::Txn& txn) -> Result<uint64_t> {
    db::FsStore store(txn);
    store.workspaces.add_usage(piece.object.workspace, {0, 0, -1});
    uint64_t bytes = 0;
    for (const auto& reference : adoption.references(txn)) {
      const db::ExtentRow& e = reference.extent;
      const uint64_t from = std::max(e.object_offset, piece.begin);
      const uint64_t to = std::min(e.object_offset + e.length, piece.end);
      const uint64_t at = e.offset + (from - e.object_offset);
      ExtentMap map(store, reference.ino);
      map.punch(at, at + (to - from));
      map.fill({at, to - from, target, from - piece.begin});
      map.settle(now);
      bytes += to - from;
    }
    if (bytes == 0) {  // changed or removed meanwhile
      store.objects.set_state(target, db::ObjectState::dead, now);
      return bytes;
    }
    store.objects.make_live(target, piece.end - piece.begin, now);
    store.objects.put_checksums(target, piece.crcs);
    adoption.moved(txn, bytes);
    return bytes;
  });
  co_return moved;
}

}  // namespace aster::primary
