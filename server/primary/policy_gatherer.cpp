#include "server/primary/policy_gatherer.h"

#include "server/db/database.h"
#include "server/db/migration_store.h"

namespace aster::primary {
namespace {

/// As many parts as the composer joins; files in more are not gone through for every piece.
constexpr size_t kGatheredMax = 16384;

}  // namespace

bool PolicyGatherer::scattered(db::Txn& txn, const db::InodeRow& file) {
  return next(txn, file).has_value();
}

std::optional<PolicyGatherer::Move> PolicyGatherer::next(db::Txn& txn, const db::InodeRow& file) {
  if (file.policy || file.attr.nlink == 0) return std::nullopt;
  const InodeNo ino = file.attr.ino;
  db::FsStore store(txn);
  const auto extents = store.extents.overlapping(ino, 0, fs::kFileSizeMax, kGatheredMax + 1);
  if (extents.size() < 2 || extents.size() > kGatheredMax) return std::nullopt;
  const std::optional<db::ObjectRow> last = store.objects.find(extents.back().object);
  if (!last) return std::nullopt;
  std::optional<Move> move;
  for (const db::ExtentRow& e : extents) {
    const std::optional<db::ObjectRow> object = store.objects.find(e.object);
    if (!object) return std::nullopt;
    const Result<PolicyLimits> limits = backends_.limits(object->policy);
    if (!limits.ok() || object->size > limits->part_size) return std::nullopt;
    if (!move && object->policy != last->policy) move = Move{e, last->policy};
  }
  if (move && db::MigrationStore(txn).is_moving(ino)) return std::nullopt;
  return move;
}

Task<Result<void>> PolicyGatherer::gather(InodeNo ino) {
  PolicyId policy;
  const auto found = database_.read([&](db::Txn& txn) -> Result<std::optional<PieceMover::Piece>> {
    const std::optional<db::InodeRow> file = db::FsStore(txn).inodes.find(ino);
    const std::optional<Move> move = file ? next(txn, *file) : std::nullopt;
    if (!move) return std::optional<PieceMover::Piece>();
    policy = move->to;
    ASTER_TRY(const PolicyLimits limits, backends_.limits(policy));
    ASTER_TRY(PieceMover::Piece piece,
              PieceMover::cut(txn, move->extent, limits, PieceMover::Take::extent));
    return std::optional(std::move(piece));
  });
  if (!found.ok()) co_return found.error();
  if (!*found) co_return ok();
  const PieceMover::Piece& piece = **found;
  PieceMover::Adoption adoption;
  adoption.references = [&](db::Txn& txn) {
    auto rows = db::ExtentStore(txn).references(piece.object.id);
    std::erase_if(rows, [&](const db::ExtentStore::Reference& r) {
      const db::ExtentRow& e = r.extent;
      return r.ino != ino || e.object_offset >= piece.end ||
             e.object_offset + e.length <= piece.begin;
    });
    return rows;
  };
  adoption.moved = [](db::Txn&, uint64_t) {};
  const Result<uint64_t> moved = co_await mover_.move(piece, policy, adoption);
  if (!moved.ok()) co_return moved.error();
  co_return ok();
}

}  // namespace aster::primary
