#include "server/primary/manifest_rewriter.h"

#include <algorithm>
#include <cstring>

#include "protocol/base/log.h"
#include "protocol/checksum.h"
#include "server/db/database.h"
#include "server/db/fs_store.h"
#include "server/primary/compose_adoption.h"

namespace aster::primary {
namespace {

using db::ExtentRow;
using db::ObjectRow;

/// Extents looked at in one piece; a longer file is gone through.
constexpr size_t kPage = 8192;
constexpr size_t kAll = INT64_MAX;
/// Asked of a follower in one request, and how many requests at a time.
constexpr uint64_t kReadMax = 4 << 20;
constexpr size_t kReadsAtOnce = 4;

uint64_t blocks_of(uint64_t bytes) {
  return (bytes + kBlockSize - 1) / kBlockSize;
}

/// `length` bytes of an object that go to `at` of the fresh ones.
struct Source {
  uint64_t object = 0;
  uint64_t offset = 0;
  uint64_t length = 0;
  uint64_t at = 0;
};

/// Where the fresh runs come from, sorted by object and offset.
std::vector<Source> sources_of(const RewritePlan& plan) {
  std::vector<Source> sources;
  uint64_t at = 0;  // of the fresh bytes
  auto extent = plan.extents.begin();
  for (const RewritePlan::Run& run : plan.runs) {
    if (run.object != 0) continue;
    const uint64_t end = plan.begin() + run.at + run.length;
    for (uint64_t done = plan.begin() + run.at; done < end;) {
      while (extent->end() <= done) ++extent;
      const uint64_t length = std::min(end, extent->end()) - done;
      sources.push_back(
          {extent->object, extent->object_offset + (done - extent->offset), length, at});
      done += length;
      at += length;
    }
  }
  std::sort(sources.begin(), sources.end(), [](const Source& a, const Source& b) {
    return std::tie(a.object, a.offset) < std::tie(b.object, b.offset);
  });
  return sources;
}

/// Whole blocks of one object and which sources they hold.
struct Read {
  uint64_t object = 0;
  uint64_t begin = 0;
  uint64_t end = 0;
  std::vector<Source> sources;
};

std::vector<Read> reads_of(const std::vector<Source>& sources, const ObjectRows& objects) {
  std::vector<Read> reads;
  for (const Source& source : sources) {
    const uint64_t begin = source.offset / kBlockSize * kBlockSize;
    const uint64_t end = std::min(blocks_of(source.offset + source.length) * kBlockSize,
                                  objects.at(source.object).size);
    const bool joins = !reads.empty() && reads.back().object == source.object &&
                       begin <= reads.back().end && end - reads.back().begin <= kReadMax;
    if (!joins) reads.push_back({source.object, begin, begin, {}});
    reads.back().end = std::max(reads.back().end, end);
    reads.back().sources.push_back(source);
  }
  return reads;
}

/// The same bytes as planned: part of a planned extent, of the same object in the same place.
bool is_as_planned(const RewritePlan& plan, const ExtentRow& now) {
  auto planned = std::upper_bound(
      plan.extents.begin(), plan.extents.end(), now.offset,
      [](uint64_t offset, const ExtentRow& extent) { return offset < extent.offset; });
  if (planned == plan.extents.begin()) return false;
  --planned;
  return now.object == planned->object && now.end() <= planned->end() &&
         now.object_offset == planned->object_offset + (now.offset - planned->offset);
}

void drop(db::FsStore& store, const ObjectRow& pending, int64_t now) {
  if (pending.id == 0) return;
  store.objects.set_state(pending.id, db::ObjectState::dead, now);
  store.workspaces.add_usage(pending.workspace, {0, 0, -1});
}

}  // namespace

Task<Result<bool>> ManifestRewriter::rewrite(InodeNo ino) {
  Result<std::optional<Job>> found = find(ino);
  if (!found.ok()) co_return found.error();
  if (!*found) co_return false;
  Job job = std::move(**found);
  Result<Bytes> fresh = co_await fresh_bytes(job);
  if (!fresh.ok()) co_return fresh.error();
  ASTER_CO_TRY(job.crcs, checksums(job, fresh->view()));
  ASTER_CO_TRY(co_await begin(job));
  ASTER_CO_TRY(co_await store(job, std::move(*fresh)));
  co_return co_await adopt(job);
}

Result<std::optional<ManifestRewriter::Job>> ManifestRewriter::find(InodeNo ino) {
  return database_.read([&](db::Txn& txn) -> Result<std::optional<Job>> {
    db::FsStore store(txn);
    const std::optional<db::InodeRow> file = store.inodes.find(ino);
    if (!file || file->attr.nlink == 0) return std::optional<Job>();
    Job job{.ino = ino};
    for (uint64_t from = 0;;) {
      const auto extents = store.extents.overlapping(ino, from, fs::kFileSizeMax, kPage);
      if (extents.size() < 2) return std::optional<Job>();
      for (const ExtentRow& e : extents) {
        if (job.objects.contains(e.object)) continue;
        const std::optional<ObjectRow> object = store.objects.find(e.object);
        if (!object) return fail(Errc::internal, "an extent names no object");
        job.objects.emplace(e.object, *object);
      }
      const PolicyId policy = job.objects.at(extents.front().object).policy;
      ASTER_TRY(const PolicyLimits limits, backends_.limits(policy));
      auto plan = plan_rewrite(extents, job.objects, limits.max_object);
      if (plan) {
        job.plan = std::move(*plan);
        break;
      }
      if (extents.size() < kPage) return std::optional<Job>();
      from = extents.back().end();
    }
    const ObjectRow& first = job.objects.at(job.plan.extents.front().object);
    const uint64_t fresh = job.plan.fresh();
    const bool anew = fresh == job.plan.size();  // the follower has nothing to join
    if (!anew && !backends_.joins_pieces(first.policy)) return std::optional<Job>();
    job.target = {0, ObjectId::random(), file->workspace, first.policy};
    if (fresh > 0 && !anew) job.patch = {0, ObjectId::random(), file->workspace, first.policy};
    return std::optional(std::move(job));
  });
}

Task<Result<void>> ManifestRewriter::begin(Job& job) {
  const int64_t now = clock_.now_ns();
  const Result<void> begun = co_await database_.write([&job, now](db::Txn& txn) -> Result<void> {
    db::FsStore store(txn);
    for (ObjectRow* object : {&job.target, &job.patch}) {
      if (object->workspace == 0) continue;
      object->id =
          store.objects.insert_pending(object->name, object->workspace, object->policy, now);
      store.workspaces.add_usage(object->workspace, {0, 0, 1});
    }
    return ok();
  });
  co_return begun;
}

// What is put together anew, checked: nothing damaged gets a new, good checksum.
Task<Result<Bytes>> ManifestRewriter::fresh_bytes(const Job& job) {
  std::string fresh(job.plan.fresh(), '\0');
  const std::vector<Read> reads = reads_of(sources_of(job.plan), job.objects);
  for (size_t next = 0; next < reads.size();) {
    const size_t first = next;
    std::vector<Task<Result<Bytes>>> wave;
    for (; next < reads.size() && wave.size() < kReadsAtOnce; ++next) {
      const Read& read = reads[next];
      const ObjectRow& object = job.objects.at(read.object);
      wave.push_back(
          backends_.read_range(object.policy, object.name, read.begin, read.end - read.begin));
    }
    const std::vector<Result<Bytes>> answers = co_await when_all(std::move(wave));
    for (size_t i = 0; i < answers.size(); ++i) {
      const Read& read = reads[first + i];
      if (!answers[i].ok()) co_return answers[i].error();
      const ByteView bytes = answers[i]->view();
      BlockChecksums sums;
      sums.update(bytes);
      const auto known = database_.read([&read](db::Txn& txn) -> Result<std::vector<uint32_t>> {
        return db::ObjectStore(txn).checksums(read.object, read.begin / kBlockSize,
                                              blocks_of(read.end - read.begin));
      });
      if (!known.ok()) co_return known.error();
      if (sums.finish() != *known) {
        co_return fail(Errc::corrupt,
                       "object " + job.objects.at(read.object).name.hex() + " is damaged");
      }
      for (const Source& source : read.sources) {
        std::memcpy(fresh.data() + source.at, bytes.data() + (source.offset - read.begin),
                    source.length);
      }
    }
  }
  co_return Bytes::from_string(std::move(fresh));
}

Result<std::vector<uint32_t>> ManifestRewriter::checksums(const Job& job, ByteView fresh) {
  return database_.read([&](db::Txn& txn) -> Result<std::vector<uint32_t>> {
    db::ObjectStore objects(txn);
    std::vector<uint32_t> crcs;
    uint64_t at = 0;  // of the fresh bytes
    for (const RewritePlan::Run& run : job.plan.runs) {
      std::vector<uint32_t> part;
      if (run.object == 0) {
        BlockChecksums sums;
        sums.update(fresh.subspan(at, run.length));
        part = sums.finish();
        at += run.length;
      } else {
        part = objects.checksums(run.object, run.object_offset / kBlockSize, blocks_of(run.length));
      }
      if (part.size() != blocks_of(run.length)) {
        return fail(Errc::internal, "an object has no checksums for its blocks");
      }
      crcs.insert(crcs.end(), part.begin(), part.end());
    }
    return crcs;
  });
}

Task<Result<void>> ManifestRewriter::store(const Job& job, Bytes fresh) {
  const ObjectRow& target = job.target;
  if (job.plan.fresh() == job.plan.size()) {
    co_return co_await backends_.write(target.policy, target.name, std::move(fresh));
  }
  if (job.patch.id != 0) {
    ASTER_CO_TRY(co_await backends_.write(target.policy, job.patch.name, std::move(fresh)));
  }
  std::vector<ObjectBackends::Piece> pieces;
  uint64_t at = 0;  // of the fresh bytes
  for (const RewritePlan::Run& run : job.plan.runs) {
    if (run.object == 0) {
      pieces.push_back({job.patch.name, at, run.length});
      at += run.length;
    } else {
      pieces.push_back({job.objects.at(run.object).name, run.object_offset, run.length});
    }
  }
  ASTER_CO_TRY(const uint64_t size,
               co_await backends_.join_pieces(target.policy, target.name, std::move(pieces)));
  if (size != job.plan.size()) co_return fail(Errc::corrupt, "the follower joined other bytes");
  co_return ok();
}

Task<Result<bool>> ManifestRewriter::adopt(const Job& job) {
  const int64_t now = clock_.now_ns();
  const Result<bool> adopted = co_await database_.write([&job, now](db::Txn& txn) -> Result<bool> {
    db::FsStore store(txn);
    const RewritePlan& plan = job.plan;
    drop(store, job.patch, now);
    const uint64_t end = plan.begin() + plan.size();
    std::vector<db::ExtentStore::Reference> moved;
    std::map<uint64_t, int64_t> lost;  // references, by object
    uint64_t bytes = 0;
    const auto rows = store.extents.overlapping(job.ino, plan.begin(), end, kAll);
    for (ExtentRow row : rows) {
      if (!is_as_planned(plan, row)) continue;
      bytes += row.length;
      ++lost[row.object];
      row.object = job.target.id;
      row.object_offset = row.offset - plan.begin();
      moved.push_back({job.ino, row});
    }
    if (bytes < plan.size() / 2) {
      drop(store, job.target, now);
      return false;
    }
    const int64_t count = retarget(store, job.target.id, moved);
    store.workspaces.add_usage(job.target.workspace, {0, 0, -1});
    store.objects.make_live(job.target.id, plan.size(), now);
    store.objects.put_checksums(job.target.id, job.crcs);
    store.objects.add_refs(job.target.id, count, now);
    for (const auto& [object, references] : lost) store.objects.add_refs(object, -references, now);
    return true;
  });
  if (adopted.ok() && *adopted) rewritten_.add();
  ASTER_LOG(debug, "manifest_rewritten", {"ino", job.ino.value}, {"size", job.plan.size()},
            {"extents", job.plan.extents.size()}, {"fresh", job.plan.fresh()},
            {"adopted", adopted.ok() && *adopted});
  co_return adopted;
}

}  // namespace aster::primary
