#include "server/primary/policy_migrator.h"

#include <pthread.h>

#include "protocol/base/executor.h"
#include "protocol/base/log.h"
#include "server/db/database.h"
#include "server/primary/mutation.h"
#include "server/primary/object_backend.h"
#include "server/primary/resolve_path.h"

namespace aster::primary {
namespace {

using db::MigrationRow;
using db::MigrationState;
using db::MigrationStore;

/// Names of a directory per transaction.
constexpr size_t kPage = 1000;
constexpr std::chrono::seconds kRetry{30};
constexpr std::chrono::milliseconds kSlice{200};  // of a wait: stop() interrupts it

Task<void> sleep_on(Executor* executor, Duration length) {
  co_await executor->sleep(length);
}

bool may_pass(const Error& error) {
  return error.code == Errc::unavailable || error.code == Errc::timeout ||
         error.code == Errc::io_error || error.code == Errc::interrupted;
}

/// Notes one inode of the tree, and what is kept of a file.
void note_inode(db::FsStore& store, MigrationStore& jobs, const MigrationRow& job,
                const fs::Attr& attr, MigrationStore::Progress& found) {
  if (attr.type == fs::FileType::directory) {
    jobs.add_inode(job.id, MigrationStore::Kind::directory, attr.ino);
    return;
  }
  if (attr.type != fs::FileType::regular) return;
  if (!jobs.add_inode(job.id, MigrationStore::Kind::file, attr.ino)) return;
  found.files += 1;
  found.bytes += jobs.bytes_elsewhere(attr.ino, job.policy);
  for (const InodeNo version : jobs.kept_of(attr.ino)) {
    if (const auto row = store.inodes.find(version)) {
      note_inode(store, jobs, job, row->attr, found);
    }
  }
}

}  // namespace

PolicyMigrator::PolicyMigrator(db::Database& database, ObjectBackends& backends, Executor& executor,
                               const Clock& clock)
    : PolicyMigrator(
          database, backends, [&executor](Duration length) { return sleep_on(&executor, length); },
          clock) {}

void PolicyMigrator::start() {
  thread_ = std::jthread([this](std::stop_token stop) { run(stop); });
}

void PolicyMigrator::stop() {
  stopping_ = true;
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void PolicyMigrator::run(std::stop_token stop) {
  pthread_setname_np(pthread_self(), "migrator");
  while (!stop.stop_requested()) {
    const Result<void> done = run_blocking(run_jobs());
    if (!done.ok()) ASTER_LOG(warn, "migration_waits", {"err", done.error()});
    std::unique_lock lock(mutex_);
    if (done.ok()) {
      changed_.wait(lock, stop, [this] { return woken_; });
    } else {
      changed_.wait_for(lock, stop, kRetry, [this] { return woken_; });
    }
    woken_ = false;
  }
}

Task<Result<MigrationRow>> PolicyMigrator::add(Wanted wanted) {
  const int64_t now = clock_.now_seconds();
  const Result<MigrationRow> added =
      co_await database_.write([&wanted, now](db::Txn& txn) -> Result<MigrationRow> {
        db::FsStore store(txn);
        MigrationStore jobs(txn);
        MigrationRow row;
        row.workspace = wanted.workspace;
        ASTER_TRY(row.root, resolve_path(store, wanted.workspace, wanted.path));
        row.path = wanted.path;
        row.policy = wanted.policy;
        row.rate = wanted.rate;
        row.created_at = row.updated_at = now;
        row.id = jobs.insert(row);
        MigrationStore::Progress found;
        if (const auto top = store.inodes.find(row.root)) {
          note_inode(store, jobs, row, top->attr, found);
        }
        jobs.add_progress(row.id, found, now);
        return jobs.find(row.id).value_or(row);
      });
  if (added.ok()) {
    const std::lock_guard lock(mutex_);
    woken_ = true;
    changed_.notify_all();
  }
  co_return added;
}

Task<Result<MigrationRow>> PolicyMigrator::cancel(uint64_t id) {
  const int64_t now = clock_.now_seconds();
  co_return co_await database_.write([=](db::Txn& txn) -> Result<MigrationRow> {
    MigrationStore jobs(txn);
    const auto row = jobs.find(id);
    if (!row) return fail(Errc::not_found, "no migration with id " + std::to_string(id));
    if (row->state == MigrationState::done) {
      return fail(Errc::precondition_failed, "the migration is done");
    }
    jobs.set_state(id, MigrationState::cancelled, "", now);
    return *jobs.find(id);
  });
}

Task<Result<MigrationRow>> PolicyMigrator::resume(uint64_t id) {
  const int64_t now = clock_.now_seconds();
  const Result<MigrationRow> resumed =
      co_await database_.write([=](db::Txn& txn) -> Result<MigrationRow> {
        MigrationStore jobs(txn);
        const auto row = jobs.find(id);
        if (!row) return fail(Errc::not_found, "no migration with id " + std::to_string(id));
        if (row->state != MigrationState::failed && row->state != MigrationState::cancelled) {
          return fail(Errc::precondition_failed, "the migration has not ended early");
        }
        jobs.set_state(id, MigrationState::listing, "", now);
        return *jobs.find(id);
      });
  if (resumed.ok()) {
    const std::lock_guard lock(mutex_);
    woken_ = true;
    changed_.notify_all();
  }
  co_return resumed;
}

Task<Result<void>> PolicyMigrator::run_jobs() {
  while (!stopping()) {
    const Result<std::optional<MigrationRow>> job =
        database_.read([](db::Txn& txn) -> Result<std::optional<MigrationRow>> {
          return MigrationStore(txn).next();
        });
    if (!job.ok()) co_return job.error();
    if (!*job) co_return ok();
    const MigrationRow row = **job;
    const Result<void> worked = co_await work_on(row);
    if (worked.ok()) continue;
    const bool again = may_pass(worked.error());
    ASTER_CO_TRY(co_await note_failure(row.id, worked.error()));
    if (again) co_return worked.error();
  }
  co_return ok();
}

// One step, so that a job that was cancelled or gave way to an older one is seen at once.
Task<Result<void>> PolicyMigrator::work_on(MigrationRow job) {
  const bool listing = job.state == MigrationState::listing;
  Task<Result<Step>> task = listing ? list_directory(job) : move_file(job);
  const Result<Step> step = co_await std::move(task);
  if (!step.ok()) co_return step.error();
  if (*step == Step::more) co_return ok();
  const int64_t now = clock_.now_seconds();
  const MigrationState next = listing ? MigrationState::moving : MigrationState::done;
  const Result<void> moved = co_await database_.write([&](db::Txn& txn) -> Result<void> {
    MigrationStore jobs(txn);
    const auto row = jobs.find(job.id);
    if (row && row->state == job.state) jobs.set_state(job.id, next, "", now);
    return ok();
  });
  if (moved.ok() && next == MigrationState::done) {
    ASTER_LOG(info, "migration_done", {"job", job.id}, {"bytes", job.bytes_done});
  }
  co_return moved;
}

Task<Result<PolicyMigrator::Step>> PolicyMigrator::list_directory(MigrationRow job) {
  const Result<std::optional<InodeNo>> directory =
      database_.read([&](db::Txn& txn) -> Result<std::optional<InodeNo>> {
        return MigrationStore(txn).first_inode(job.id, MigrationStore::Kind::directory);
      });
  if (!directory.ok()) co_return directory.error();
  if (!*directory) co_return Step::done;
  const InodeNo ino = **directory;
  const int64_t now = clock_.now_seconds();
  for (uint64_t after = 0;;) {
    // By reference: a temporary with strings in a co_await expression is destroyed twice (GCC 12).
    const Result<uint64_t> next = co_await database_.write([&](db::Txn& txn) -> Result<uint64_t> {
      db::FsStore store(txn);
      MigrationStore jobs(txn);
      MigrationStore::Progress found;
      const auto entries = store.inodes.list(ino, after, kPage);
      for (const fs::DirEntry& e : entries) note_inode(store, jobs, job, e.attr, found);
      const bool last = entries.size() < kPage;
      if (last) {
        for (const InodeNo kept : jobs.kept_of(ino)) {
          const auto row = store.inodes.find(kept);
          if (row) note_inode(store, jobs, job, row->attr, found);
        }
        jobs.remove_inode(job.id, MigrationStore::Kind::directory, ino);
      }
      jobs.add_progress(job.id, found, now);
      return last ? 0 : entries.back().cookie;
    });
    if (!next.ok()) co_return next.error();
    after = *next;
    if (after == 0) co_return Step::more;
  }
}

Task<Result<PolicyMigrator::Step>> PolicyMigrator::move_file(MigrationRow job) {
  const Result<std::optional<InodeNo>> file =
      database_.read([&](db::Txn& txn) -> Result<std::optional<InodeNo>> {
        return MigrationStore(txn).first_inode(job.id, MigrationStore::Kind::file);
      });
  if (!file.ok()) co_return file.error();
  if (!*file) co_return Step::done;
  const InodeNo ino = **file;
  const Result<std::optional<PieceMover::Piece>> piece = next_piece(job, ino);
  if (!piece.ok()) co_return piece.error();
  if (*piece) {
    const SteadyTime began = clock_.steady();
    const uint64_t bytes = (*piece)->end - (*piece)->begin;
    ASTER_CO_TRY(co_await move_piece(job, **piece));
    co_await keep_rate(job, bytes, began);
    co_return Step::more;
  }
  const int64_t now_ns = clock_.now_ns();
  const Result<void> done = co_await database_.write([&](db::Txn& txn) -> Result<void> {
    db::FsStore store(txn);
    MigrationStore jobs(txn);
    jobs.remove_inode(job.id, MigrationStore::Kind::file, ino);
    jobs.add_progress(job.id, {0, 1, 0, 0}, now_ns / 1'000'000'000);
    if (store.extents.has_several(ino)) store.compose.enqueue(ino, now_ns);
    return ok();
  });
  if (!done.ok()) co_return done.error();
  co_return Step::more;
}

Result<std::optional<PieceMover::Piece>> PolicyMigrator::next_piece(const MigrationRow& job,
                                                                    InodeNo file) {
  ASTER_TRY(const PolicyLimits limits, backends_.limits(job.policy));
  return database_.read([&](db::Txn& txn) -> Result<std::optional<PieceMover::Piece>> {
    const auto extent = MigrationStore(txn).first_elsewhere(file, job.policy);
    if (!extent) return std::optional<PieceMover::Piece>();
    ASTER_TRY(PieceMover::Piece piece,
              PieceMover::cut(txn, *extent, limits, PieceMover::Take::object));
    return std::optional(std::move(piece));
  });
}

Task<Result<void>> PolicyMigrator::move_piece(const MigrationRow& job,
                                              const PieceMover::Piece& piece) {
  PieceMover::Adoption adoption;
  adoption.references = [&](db::Txn& txn) {
    return MigrationStore(txn).references(job.id, piece.object.id, piece.begin, piece.end);
  };
  adoption.moved = [&](db::Txn& txn, uint64_t bytes) {
    MigrationStore(txn).add_progress(job.id, {0, 0, 0, bytes}, clock_.now_seconds());
  };
  const Result<uint64_t> moved = co_await mover_.move(piece, job.policy, adoption);
  if (!moved.ok()) co_return moved.error();
  co_return ok();
}

Task<Result<void>> PolicyMigrator::note_failure(uint64_t job, const Error& error) {
  const int64_t now = clock_.now_seconds();
  const std::string problem = error.message();
  const bool again = may_pass(error);
  ASTER_LOG(warn, "migration_failed", {"job", job}, {"again", again}, {"err", error});
  co_return co_await database_.write([&](db::Txn& txn) -> Result<void> {
    MigrationStore jobs(txn);
    const auto row = jobs.find(job);
    if (!row) return ok();
    const bool active =
        row->state == MigrationState::listing || row->state == MigrationState::moving;
    if (active) {
      jobs.set_state(job, again ? row->state : MigrationState::failed, problem, now);
    }
    return ok();
  });
}

Task<void> PolicyMigrator::keep_rate(const MigrationRow& job, uint64_t bytes, SteadyTime began) {
  if (job.rate == 0) co_return;
  const std::chrono::duration<double> due(static_cast<double>(bytes) /
                                          static_cast<double>(job.rate));
  const SteadyTime until = began + std::chrono::duration_cast<Duration>(due);
  while (!stopping() && clock_.steady() < until) {
    const auto left = until - clock_.steady();
    const Duration slice =
        std::min<Duration>(kSlice, std::chrono::ceil<std::chrono::milliseconds>(left));
    co_await pause_(slice);
  }
}

}  // namespace aster::primary
