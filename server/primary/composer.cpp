#include "server/primary/composer.h"

#include "protocol/base/log.h"
#include "server/db/database.h"
#include "server/db/fs_store.h"
#include "server/primary/compose_adoption.h"
#include "server/primary/object_backend.h"

namespace aster::primary {
namespace {

using std::chrono::minutes;

/// The list of parts must fit the follower's 1 MiB of JSON: 44 bytes for each. 256 GiB of parts of
/// the default size; longer files stay in parts.
constexpr size_t kPartsMax = 16384;
constexpr size_t kFilesAtOnce = 4;
/// After a failure that may pass.
constexpr minutes kRetry{10};

/// Between two pieces of a file that is brought under one policy: leaves room for others, and the
/// duty can be stopped.
constexpr std::chrono::milliseconds kNextPiece{100};

/// How long a compose request may still be at work on the follower after its outcome was lost:
/// longer than any deadline, and the time to copy the bytes at a slow 10 MB/s.
std::chrono::nanoseconds unknown_for(uint64_t size) {
  return minutes(15) + std::chrono::seconds(size / 10'000'000);
}

/// True when the follower may have composed although the call failed.
bool outcome_unknown(Errc code) {
  switch (code) {
    case Errc::unavailable:
    case Errc::timeout:
    case Errc::interrupted:
    case Errc::io_error:
    case Errc::internal: return true;
    default: return false;
  }
}

/// The file's parts when it qualifies, else none.
std::vector<db::ObjectRow> qualifying_parts(db::FsStore& store, const db::InodeRow& file) {
  std::vector<db::ObjectRow> parts;
  const auto extents = store.extents.overlapping(file.attr.ino, 0, fs::kFileSizeMax, kPartsMax + 1);
  if (extents.size() < 2 || extents.size() > kPartsMax) return {};
  uint64_t end = 0;
  for (const db::ExtentRow& e : extents) {
    std::optional<db::ObjectRow> part = store.objects.find(e.object);
    const bool whole = part && part->refs == 1 && e.object_offset == 0 && e.length == part->size;
    const bool follows = e.offset == end && end % kBlockSize == 0;
    if (!whole || !follows || (!parts.empty() && part->policy != parts[0].policy)) return {};
    end = e.end();
    parts.push_back(std::move(*part));
  }
  if (end != file.attr.size) return {};
  return parts;
}

}  // namespace

Task<Result<void>> Composer::round() {
  Result<void> recovered = co_await recover();
  Result<void> composed = co_await compose_due();
  if (!recovered.ok()) co_return std::move(recovered).error();
  co_return composed;
}

Result<std::optional<std::chrono::nanoseconds>> Composer::next_due() {
  return database_.read([&](db::Txn& txn) -> Result<std::optional<std::chrono::nanoseconds>> {
    const std::optional<int64_t> due = db::ComposeStore(txn).next_due();
    if (!due) return std::optional<std::chrono::nanoseconds>();
    return std::optional(std::chrono::nanoseconds(std::max<int64_t>(0, *due - clock_.now_ns())));
  });
}

Task<Result<void>> Composer::recover() {
  const Result<std::vector<uint64_t>> jobs = database_.read(
      [](db::Txn& txn) -> Result<std::vector<uint64_t>> { return db::ComposeStore(txn).jobs(); });
  if (!jobs.ok()) co_return jobs.error();
  for (const uint64_t job : *jobs) ASTER_CO_TRY(co_await settle(job));
  co_return ok();
}

Task<Result<void>> Composer::compose_due() {
  for (;;) {
    const int64_t now = clock_.now_ns();
    const Result<std::vector<InodeNo>> due =
        database_.read([now](db::Txn& txn) -> Result<std::vector<InodeNo>> {
          return db::ComposeStore(txn).due(now, kFilesAtOnce);
        });
    if (!due.ok()) co_return due.error();
    if (due->empty()) co_return ok();
    std::vector<Task<Result<void>>> files;
    for (const InodeNo ino : *due) files.push_back(take(ino));
    const std::vector<Result<void>> done = co_await when_all(std::move(files));
    for (const Result<void>& one : done) {
      if (!one.ok()) co_return one.error();
    }
  }
}

Result<Composer::Next> Composer::plan(db::Txn& txn, InodeNo ino) {
  const Next none;
  db::FsStore store(txn);
  store.compose.dequeue(ino);
  const std::optional<db::InodeRow> file = store.inodes.find(ino);
  if (!file || file->attr.nlink == 0) return none;
  const int64_t later = clock_.now_ns() + std::chrono::nanoseconds(kRetry).count();
  if (store.compose.has_job(ino)) {  // its outcome is still unknown
    store.compose.enqueue(ino, later);
    return none;
  }
  if (gatherer_.scattered(txn, *file)) {
    store.compose.enqueue(ino, later);  // sooner once the piece was moved
    return Next{.scattered = true};
  }
  const std::vector<db::ObjectRow> parts = qualifying_parts(store, *file);
  if (parts.empty()) return Next{.pieces = true};
  Plan plan;
  plan.policy = parts[0].policy;
  plan.target = ObjectId::random();
  plan.size = file->attr.size;
  plan.started = clock_.now_ns();
  const Result<PolicyLimits> limits = backends_.limits(plan.policy);
  if (!limits.ok()) store.compose.enqueue(ino, later);  // its policy is not usable now
  if (!limits.ok() || plan.size > limits->max_object) return none;
  db::ComposeJob job;
  job.ino = ino;
  job.started = plan.started;
  job.target =
      store.objects.insert_pending(plan.target, file->workspace, plan.policy, plan.started);
  for (const db::ObjectRow& part : parts) {
    job.parts.push_back(part.id);
    plan.parts.push_back(part.name);
  }
  store.compose.insert(job);
  plan.job = job.id;
  return Next{.plan = std::move(plan)};
}

Task<Result<void>> Composer::take(InodeNo ino) {
  Result<Next> next =
      co_await database_.write([this, ino](db::Txn& txn) { return plan(txn, ino); });
  if (!next.ok()) co_return std::move(next).error();
  if (next->plan) co_return co_await compose_file(ino, std::move(*next->plan));
  if (next->scattered) co_return co_await gather_file(ino);
  if (next->pieces) co_return co_await rewrite_file(ino);
  co_return ok();
}

// A failure is not the round's: the file comes again with its next change, or after a while.
Task<Result<void>> Composer::rewrite_file(InodeNo ino) {
  const Result<bool> rewritten = co_await rewriter_.rewrite(ino);
  if (rewritten.ok() && !*rewritten) co_return ok();
  if (!rewritten.ok()) {
    failed_.add();
    ASTER_LOG(warn, "rewrite_failed", {"ino", ino.value}, {"err", rewritten.error()});
  }
  const int64_t due =
      clock_.now_ns() + (rewritten.ok() ? 0 : std::chrono::nanoseconds(kRetry).count());
  const Result<void> queued = co_await database_.write([ino, due](db::Txn& txn) -> Result<void> {
    db::ComposeStore(txn).enqueue(ino, due);
    return ok();
  });
  co_return queued;
}

Task<Result<void>> Composer::gather_file(InodeNo ino) {
  const Result<void> moved = co_await gatherer_.gather(ino);
  if (!moved.ok()) {
    failed_.add();
    ASTER_LOG(warn, "gather_failed", {"ino", ino.value}, {"err", moved.error()});
    co_return ok();  // it is queued for a later round
  }
  const int64_t due = clock_.now_ns() + std::chrono::nanoseconds(kNextPiece).count();
  const Result<void> queued = co_await database_.write([ino, due](db::Txn& txn) -> Result<void> {
    db::ComposeStore(txn).enqueue(ino, due);
    return ok();
  });
  co_return queued;
}

Task<Result<void>> Composer::compose_file(InodeNo ino, Plan plan) {
  const Result<ObjectBackends::Composed> composed =
      co_await backends_.compose(plan.policy, plan.target, plan.parts, plan.size);
  if (composed.ok() && composed->size == plan.size) {
    co_return co_await adopt(plan.job, composed->parts_kept);
  }
  if (composed.ok()) {
    ASTER_LOG(error, "composed_size_wrong", {"ino", ino.value}, {"expected", plan.size},
              {"got", composed->size});
    co_return co_await drop(plan.job, std::nullopt);
  }
  failed_.add();
  ASTER_LOG(warn, "compose_failed", {"ino", ino.value}, {"parts", plan.parts.size()},
            {"err", composed.error()});
  if (outcome_unknown(composed.error().code)) co_return ok();  // a later round settles it
  if (composed.failed_with(Errc::unsupported)) co_return co_await drop(plan.job, std::nullopt);
  co_return co_await drop(plan.job, kRetry);
}

Result<std::optional<Composer::Plan>> Composer::load(uint64_t job) {
  return database_.read([job](db::Txn& txn) -> Result<std::optional<Plan>> {
    db::FsStore store(txn);
    const std::optional<db::ComposeJob> row = store.compose.find(job);
    if (!row) return std::optional<Plan>();
    const std::optional<db::ObjectRow> target = store.objects.find(row->target);
    if (!target) return fail(Errc::internal, "composition without target");
    Plan plan{job, target->policy, target->name, {}, 0, row->started};
    for (const uint64_t part : row->parts) {
      if (const auto object = store.objects.find(part)) plan.size += object->size;
    }
    return std::optional(std::move(plan));
  });
}

Task<Result<void>> Composer::settle(uint64_t job) {
  const Result<std::optional<Plan>> loaded = load(job);
  if (!loaded.ok()) co_return loaded.error();
  if (!*loaded) co_return ok();
  const Plan plan = **loaded;
  const Result<uint64_t> stored = co_await backends_.stat(plan.policy, plan.target);
  // Whether the follower kept the parts was in the answer that got lost: assume that it did not.
  if (stored.ok() && *stored == plan.size) co_return co_await adopt(job, false);
  if (!stored.ok() && !stored.failed_with(Errc::not_found)) co_return ok();  // cannot tell now
  const std::chrono::nanoseconds age(clock_.now_ns() - plan.started);
  if (age < unknown_for(plan.size)) co_return ok();
  ASTER_LOG(warn, "compose_abandoned", {"job", job}, {"size", plan.size});
  co_return co_await drop(job, kRetry);
}

Task<Result<void>> Composer::adopt(uint64_t job, bool parts_kept) {
  const int64_t now = clock_.now_ns();
  const Result<bool> adopted = co_await database_.write([=](db::Txn& txn) -> Result<bool> {
    db::FsStore store(txn);
    return adopt_composed(store, job, parts_kept, now);
  });
  if (!adopted.ok()) co_return adopted.error();
  if (*adopted) composed_.add();
  ASTER_LOG(debug, "composed", {"job", job}, {"adopted", *adopted});
  co_return ok();
}

Task<Result<void>> Composer::drop(uint64_t job, std::optional<std::chrono::nanoseconds> retry) {
  const int64_t now = clock_.now_ns();
  const Result<void> dropped = co_await database_.write([=](db::Txn& txn) -> Result<void> {
    db::FsStore store(txn);
    const std::optional<db::ComposeJob> row = store.compose.find(job);
    drop_composed(store, job, now);
    if (row && retry) store.compose.enqueue(row->ino, now + retry->count());
    return ok();
  });
  co_return dropped;
}

}  // namespace aster::primary
