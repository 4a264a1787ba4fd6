#include "server/primary/compose_adoption.h"

#include <map>

#include "server/db/backup.h"

namespace aster::primary {
namespace {

using db::ExtentRow;
using db::ExtentStore;
using db::ObjectRow;

uint64_t blocks_of(uint64_t size) {
  return size / kBlockSize + (size % kBlockSize != 0 ? 1 : 0);
}

struct Gathered {
  std::vector<ObjectRow> parts;
  std::vector<ExtentStore::Reference> references;  // with their places in the target
  std::vector<uint32_t> crcs;
  uint64_t size = 0;        // of all parts
  uint64_t referenced = 0;  // bytes of them that extents name
};

Result<Gathered> gather(db::FsStore& store, const db::ComposeJob& job) {
  Gathered all;
  for (const uint64_t id : job.parts) {
    std::optional<ObjectRow> part = store.objects.find(id);
    if (!part) return fail(Errc::internal, "part of a composition was collected");
    for (ExtentStore::Reference& reference : store.extents.references(id)) {
      all.referenced += reference.extent.length;
      reference.extent.object_offset += all.size;
      all.references.push_back(reference);
    }
    const auto crcs = store.objects.checksums(id, 0, blocks_of(part->size));
    all.crcs.insert(all.crcs.end(), crcs.begin(), crcs.end());
    all.size += part->size;
    all.parts.push_back(std::move(*part));
  }
  return all;
}

}  // namespace

int64_t retarget(db::FsStore& store, uint64_t target,
                 const std::vector<ExtentStore::Reference>& references) {
  std::map<std::pair<InodeNo, uint64_t>, ExtentRow> sorted;  // by file and offset
  for (const ExtentStore::Reference& reference : references) {
    const ExtentRow& row = reference.extent;
    store.extents.retarget(reference.ino, row.offset, target, row.object_offset);
    sorted.emplace(std::make_pair(reference.ino, row.offset), row);
  }
  int64_t count = 0;
  for (auto at = sorted.begin(); at != sorted.end();) {
    const InodeNo ino = at->first.first;
    ExtentRow run = at->second;
    const uint64_t first_length = run.length;
    for (++at; at != sorted.end() && at->first.first == ino && at->second.offset == run.end() &&
               at->second.object_offset == run.object_offset + run.length;
         ++at) {
      store.extents.erase(ino, at->second.offset);
      run.length += at->second.length;
    }
    if (run.length != first_length) store.extents.resize(ino, run.offset, run.length);
    ++count;
  }
  return count;
}

void drop_composed(db::FsStore& store, uint64_t job, int64_t now) {
  const std::optional<db::ComposeJob> row = store.compose.find(job);
  if (!row) return;
  store.objects.set_state(row->target, db::ObjectState::dead, now);
  store.compose.erase(job);
}

Result<bool> adopt_composed(db::FsStore& store, uint64_t job, bool parts_kept, int64_t now) {
  const std::optional<db::ComposeJob> row = store.compose.find(job);
  if (!row) return fail(Errc::not_found, "composition job");
  ASTER_TRY(const Gathered all, gather(store, *row));
  if (all.referenced == 0 || (parts_kept && all.referenced < all.size / 2)) {
    drop_composed(store, job, now);
    return false;
  }
  const int64_t refs = retarget(store, row->target, all.references);
  store.objects.make_live(row->target, all.size, now);
  store.objects.add_refs(row->target, refs, now);
  store.objects.put_checksums(row->target, all.crcs);
  // Nobody may name the parts again; a backup that is kept does.
  const int64_t removable = parts_kept ? now : db::kept_until(store.txn, now);
  for (const ObjectRow& part : all.parts) {
    store.objects.add_refs(part.id, -static_cast<int64_t>(part.refs), now);
    if (!parts_kept) store.objects.set_state(part.id, db::ObjectState::dead, removable);
  }
  store.compose.erase(job);
  return true;
}

}  // namespace aster::primary
