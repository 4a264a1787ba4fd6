#include "server/primary/pack_rewriter.h"

#include <algorithm>

#include "protocol/base/log.h"
#include "protocol/checksum.h"
#include "server/db/database.h"
#include "server/db/fs_store.h"
#include "server/primary/object_backend.h"

namespace aster::primary {
namespace {

/// Objects looked at in one round: two look-ups of an index each.
constexpr uint64_t kWindow = 4096;
/// Larger ones are parts of large files; mounts make packs of 1 MiB.
constexpr uint64_t kPackMax = 4 << 20;
/// Read and written in one round.
constexpr uint64_t kBudget = 32 << 20;

uint64_t blocks_of(uint64_t size) {
  return size / kBlockSize + (size % kBlockSize != 0 ? 1 : 0);
}

}  // namespace

Task<Result<void>> PackRewriter::round() {
  const Result<std::vector<Plan>> plans = find();
  if (!plans.ok()) co_return plans.error();
  uint64_t moved = 0;
  for (const Plan& plan : *plans) {
    if (moved > kBudget) break;
    moved += plan.pack.size;
    const Result<void> rewritten = co_await rewrite(plan);
    if (rewritten.ok()) continue;
    ASTER_LOG(warn, "pack_not_rewritten", {"object", plan.pack.name.hex()},
              {"err", rewritten.error()});
  }
  co_return ok();
}

Result<std::vector<PackRewriter::Plan>> PackRewriter::find() {
  // A pack that was committed just now may be getting more of its files.
  const int64_t before = clock_.now_ns() - std::chrono::nanoseconds(options_.object_grace).count();
  const uint64_t first = looked_at_;
  const auto found = database_.read([=](db::Txn& txn) -> Result<std::vector<Plan>> {
    db::ObjectStore objects(txn);
    std::vector<Plan> plans;
    const db::ObjectStore::Window window{first, first + kWindow, before, kPackMax};
    for (db::ObjectRow& row : objects.mostly_unused(window)) {
      Plan plan;
      plan.runs = runs_of(txn, row.id);
      for (Run& run : plan.runs) {
        run.to = plan.size;
        plan.size += run.length;
      }
      plan.crcs = objects.checksums(row.id, 0, blocks_of(row.size));
      plan.pack = std::move(row);
      plans.push_back(std::move(plan));
    }
    return plans;
  });
  if (!found.ok()) return found.error();
  const auto last =
      database_.read([](db::Txn& txn) -> Result<uint64_t> { return db::ObjectStore(txn).last(); });
  if (!last.ok()) return last.error();
  looked_at_ = first + kWindow >= *last ? 0 : first + kWindow;
  return found;
}

// In order and joined: several extents may name the same bytes.
std::vector<PackRewriter::Run> PackRewriter::runs_of(db::Txn& txn, uint64_t object) {
  std::vector<Run> named;
  for (const db::ExtentStore::Reference& reference : db::ExtentStore(txn).references(object)) {
    named.push_back({reference.extent.object_offset, reference.extent.length, 0});
  }
  std::sort(named.begin(), named.end(), [](const Run& a, const Run& b) { return a.from < b.from; });
  std::vector<Run> runs;
  for (const Run& run : named) {
    if (runs.empty() || run.from > runs.back().from + runs.back().length) {
      runs.push_back(run);
    } else {
      const uint64_t end = std::max(runs.back().from + runs.back().length, run.from + run.length);
      runs.back().length = end - runs.back().from;
    }
  }
  return runs;
}

Task<Result<void>> PackRewriter::rewrite(Plan plan) {
  if (plan.size == 0) co_return ok();
  ASTER_CO_TRY(Bytes kept, co_await keep(plan));
  BlockChecksums sums;
  sums.update(kept.view());
  const std::vector<uint32_t> crcs = sums.finish();
  const ObjectId name = ObjectId::random();
  const int64_t now = clock_.now_ns();
  const db::ObjectRow pack = plan.pack;
  const Result<uint64_t> target = co_await database_.write([=](db::Txn& txn) -> Result<uint64_t> {
    db::FsStore store(txn);
    store.workspaces.add_usage(pack.workspace, {0, 0, 1});
    return store.objects.insert_pending(name, pack.workspace, pack.policy, now);
  });
  if (!target.ok()) co_return target.error();
  ASTER_CO_TRY(co_await backends_.write(pack.policy, name, kept));
  const Result<void> adopted = co_await adopt(plan, *target, crcs);
  co_return adopted;
}

// What stays of the pack, checked: nothing damaged gets a new, good checksum.
Task<Result<Bytes>> PackRewriter::keep(const Plan& plan) {
  ASTER_CO_TRY(const Bytes bytes,
               co_await backends_.read(plan.pack.policy, plan.pack.name, plan.pack.size));
  BlockChecksums sums;
  sums.update(bytes.view());
  if (bytes.size() != plan.pack.size || sums.finish() != plan.crcs) {
    co_return fail(Errc::corrupt, "the pack is not what was uploaded");
  }
  std::string kept;
  kept.reserve(plan.size);
  for (const Run& run : plan.runs) kept += as_text(bytes.view().subspan(run.from, run.length));
  co_return Bytes::from_string(std::move(kept));
}

Task<Result<void>> PackRewriter::adopt(const Plan& plan, uint64_t target,
                                       std::vector<uint32_t> crcs) {
  const int64_t now = clock_.now_ns();
  const std::vector<Run> runs = plan.runs;
  const db::ObjectRow pack = plan.pack;
  const uint64_t size = plan.size;
  auto work = [=](db::Txn& txn) -> Result<int64_t> {
    db::FsStore store(txn);
    int64_t count = 0;
    for (const db::ExtentStore::Reference& reference : store.extents.references(pack.id)) {
      const db::ExtentRow& extent = reference.extent;
      auto run = std::upper_bound(
          runs.begin(), runs.end(), extent.object_offset,
          [](uint64_t offset, const Run& candidate) { return offset < candidate.from; });
      if (run == runs.begin()) continue;
      --run;
      const uint64_t skip = extent.object_offset - run->from;
      if (skip + extent.length > run->length) continue;
      store.extents.retarget(reference.ino, extent.offset, target, run->to + skip);
      ++count;
    }
    store.workspaces.add_usage(pack.workspace, {0, 0, -1});
    if (count == 0) {
      store.objects.set_state(target, db::ObjectState::dead, now);
      return count;
    }
    store.objects.make_live(target, size, now);
    store.objects.put_checksums(target, crcs);
    store.objects.add_refs(target, count, now);
    store.objects.add_refs(pack.id, -count, now);
    return count;
  };
  const Result<int64_t> moved = co_await database_.write(std::move(work));
  if (!moved.ok()) co_return moved.error();
  ASTER_LOG(debug, "pack_rewritten", {"object", pack.name.hex()}, {"was", pack.size}, {"is", size},
            {"extents", *moved});
  co_return ok();
}

}  // namespace aster::primary
