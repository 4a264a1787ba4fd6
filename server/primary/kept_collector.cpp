#include "server/primary/kept_collector.h"

#include "protocol/base/log.h"
#include "server/db/database.h"
#include "server/db/fs_store.h"
#include "server/primary/extent_map.h"
#include "server/primary/object_backend.h"

namespace aster::primary {
namespace {

/// Rows per transaction: a few milliseconds of the writer's time.
constexpr size_t kChunk = 1000;
/// Inodes per transaction: each may bring kChunk extents.
constexpr size_t kInodes = 64;

/// Frees a doomed inode, or kChunk of its extents when it has more.
void free_doomed(db::FsStore& store, db::KeptStore& kept, const db::KeptRow& row, int64_t now) {
  const auto extents = store.extents.overlapping(row.ino, 0, fs::kFileSizeMax, kChunk);
  ExtentMap map(store, row.ino);
  if (!extents.empty()) map.punch(0, extents.back().end());
  map.settle(now);
  if (extents.size() == kChunk) {
    // What is counted of it goes along, so that the books stay right between two pieces.
    if (auto inode = store.inodes.find(row.ino)) {
      inode->attr.allocated -= static_cast<uint64_t>(-map.allocated_delta());
      store.inodes.update(*inode);
    }
    return;
  }
  store.compose.dequeue(row.ino);
  db::DirectorySettings(store.txn).forget(row.ino);
  store.inodes.erase(row.ino);
  kept.erase(row.id);
}

}  // namespace

Task<Result<void>> KeptCollector::round() {
  const Result<std::vector<uint64_t>> workspaces =
      database_.read([](db::Txn& txn) -> Result<std::vector<uint64_t>> {
        return db::KeptStore(txn).workspaces();
      });
  if (!workspaces.ok()) co_return workspaces.error();
  for (const uint64_t workspace : *workspaces) {
    ASTER_CO_TRY(co_await doom_old(workspace));
    ASTER_CO_TRY(co_await doom_excess(workspace));
  }
  ASTER_CO_TRY(co_await doom_below());
  const Result<void> removed = co_await remove_doomed();
  co_return removed;
}

Task<Result<void>> KeptCollector::doom_old(uint64_t workspace) {
  const int64_t now = clock_.now_ns();
  const int64_t trash = now - std::chrono::nanoseconds(keep_.trash_age).count();
  const int64_t versions = now - std::chrono::nanoseconds(keep_.version_age).count();
  for (;;) {
    const Result<int64_t> doomed = co_await database_.write([=](db::Txn& txn) -> Result<int64_t> {
      db::KeptStore kept(txn);
      return std::max(kept.doom_until(workspace, db::KeptKind::trash, trash, kChunk),
                      kept.doom_until(workspace, db::KeptKind::version, versions, kChunk));
    });
    if (!doomed.ok()) co_return doomed.error();
    if (*doomed < static_cast<int64_t>(kChunk)) co_return ok();
  }
}

std::optional<uint64_t> KeptCollector::limit(db::Txn& txn, uint64_t workspace,
                                             uint64_t storage) const {
  const uint64_t quota = db::WorkspaceStore(txn).quota(workspace);
  const uint64_t all = quota != 0 ? quota : storage;
  if (all == 0 || keep_.percent == 0) return std::nullopt;
  return all / 100 * keep_.percent + all % 100 * keep_.percent / 100;
}

Task<Result<void>> KeptCollector::doom_excess(uint64_t workspace) {
  uint64_t storage = 0;
  for (const ObjectBackends::Place& place : backends_.places()) {
    if (place.is_default && place.capacity) storage = place.capacity->total;
  }
  for (;;) {
    const Result<bool> more =
        co_await database_.write([this, workspace, storage](db::Txn& txn) -> Result<bool> {
          const std::optional<uint64_t> most = limit(txn, workspace, storage);
          db::KeptStore kept(txn);
          uint64_t bytes = most ? kept.bytes(workspace) : 0;
          if (!most || bytes <= *most) return false;
          for (const db::KeptStore::Oldest& one : kept.oldest(workspace, kChunk)) {
            if (bytes <= *most) break;
            kept.doom(one.id);
            bytes -= one.bytes;
          }
          return bytes > *most;
        });
    if (!more.ok()) co_return more.error();
    if (!*more) co_return ok();
  }
}

Task<Result<void>> KeptCollector::doom_below() {
  for (;;) {
    const Result<int64_t> doomed = co_await database_.write(
        [](db::Txn& txn) -> Result<int64_t> { return db::KeptStore(txn).doom_below(kChunk); });
    if (!doomed.ok()) co_return doomed.error();
    if (*doomed == 0) co_return ok();
  }
}

Task<Result<void>> KeptCollector::remove_doomed() {
  for (;;) {
    const int64_t now = clock_.now_ns();
    const Result<bool> more = co_await database_.write([now](db::Txn& txn) -> Result<bool> {
      db::FsStore store(txn);
      db::KeptStore kept(txn);
      const auto rows = kept.removable(kInodes);
      for (const db::KeptRow& row : rows) free_doomed(store, kept, row, now);
      return !rows.empty();
    });
    if (!more.ok()) co_return more.error();
    if (!*more) co_return ok();
  }
}

}  // namespace aster::primary
