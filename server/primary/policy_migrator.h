#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/task.h"
#include "server/db/migration_store.h"
#include "server/primary/namespace_service.h"
#include "server/primary/piece_mover.h"

namespace aster::primary {

/// Moves what is stored of trees to other policies: jobs in the background, one after the other,
/// piece by piece, within a budget of bytes per second. Files stay readable and writable; what is
/// written meanwhile goes where new data goes.
///
/// What kill -9 leaves, by arrow:
///   job row -> files listed (directory by directory, one transaction each: the directory's row
///     goes, its files' and subdirectories' rows come) -> for each file, piece by piece:
///   [T1: pending target] -> read, every block checked, written to the new storage, read back and
///     checked there: a pending object, which the collector removes like any grant that was not
///     used
///   -> [T2: every extent of the job's files that names bytes of the piece names the new object]
///     after T2 the piece is done for ever; the old object is collected when nothing names it
///   -> file row removed. A round after a restart goes on with the first row that is there.
/// T2 moves references wherever they are then, so a file that was changed meanwhile stays right.
class PolicyMigrator {
 public:
  /// Waits that long, in short pieces, so that stop() interrupts it.
  using Pause = std::function<Task<void>(Duration)>;

  PolicyMigrator(db::Database& database, ObjectBackends& backends, Executor& executor,
                 const Clock& clock);
  /// Waits for its budget by `pause`, which has to move the clock.
  PolicyMigrator(db::Database& database, ObjectBackends& backends, Pause pause, const Clock& clock)
      : database_(database),
        backends_(backends),
        pause_(std::move(pause)),
        clock_(clock),
        mover_(database, backends, clock) {}
  ~PolicyMigrator() { stop(); }

  /// Goes on with the jobs there are; at most one call.
  void start();
  /// Lets the piece under way end.
  void stop();

  struct Wanted {
    uint64_t workspace = 0;
    std::string path;  ///< "/a/b", of a file or a directory; not_found
    PolicyId policy;
    uint64_t rate = 0;  ///< bytes per second; 0 = as fast as it goes
  };
  Task<Result<db::MigrationRow>> add(Wanted wanted);
  /// Ends a job that is not done; what was moved stays moved. precondition_failed otherwise.
  Task<Result<db::MigrationRow>> cancel(uint64_t id);
  /// A failed or cancelled job goes on where it was.
  Task<Result<db::MigrationRow>> resume(uint64_t id);

  /// Works on jobs until none is left or stop() was called; for tests, instead of start().
  Task<Result<void>> run_jobs();

 private:
  enum class Step { more, done };

  void run(std::stop_token stop);
  Task<Result<void>> work_on(db::MigrationRow job);
  Task<Result<Step>> list_directory(db::MigrationRow job);
  Task<Result<Step>> move_file(db::MigrationRow job);
  /// The first bytes of the file that lie elsewhere; nullopt: none.
  Result<std::optional<PieceMover::Piece>> next_piece(const db::MigrationRow& job, InodeNo file);
  Task<Result<void>> move_piece(const db::MigrationRow& job, const PieceMover::Piece& piece);
  Task<Result<void>> note_failure(uint64_t job, const Error& error);
  /// Waits until the budget allows the next piece.
  Task<void> keep_rate(const db::MigrationRow& job, uint64_t bytes, SteadyTime began);
  bool stopping() const { return stopping_; }

  db::Database& database_;
  ObjectBackends& backends_;
  const Pause pause_;
  const Clock& clock_;
  PieceMover mover_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool woken_ = false;  // guarded by mutex_
  std::jthread thread_;
};

}  // namespace aster::primary
