#pragma once

#include <coroutine>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "protocol/base/executor.h"
#include "protocol/base/metrics.h"
#include "protocol/base/result.h"
#include "protocol/base/task.h"
#include "server/db/migrations.h"
#include "server/db/txn.h"

namespace aster::db {

struct DatabaseOptions {
  /// "sqlite:///absolute/path", or AsterDrive's "sqlite://relative.db?mode=rwc" (relative to the
  /// working directory). The file is made when missing, except with `mode=rw`. Other modes and
  /// in-memory databases are refused.
  std::string url;
  size_t readers = 4;         ///< snapshot connections: reads at the same time
  size_t queue_limit = 8192;  ///< writes waiting; more fail with out_of_resources
  size_t group_limit = 512;   ///< writes that share one COMMIT at most
  std::span<const Migration> migrations = all_migrations();
};

/// The path in a database URL; bad_request (or unsupported for other engines) with a clear text.
struct DatabasePath {
  std::string path;
  bool create = true;
};
Result<DatabasePath> parse_database_url(std::string_view url);

/// The one database of a server: SQLite with WAL and synchronous=FULL. Thread-safe. Another process
/// may have the same file open. Whoever has it open must not fork.
class Database {
 public:
  /// Opens (makes, migrates) the database and starts its writer. Tasks of write() go on on
  /// `executor`, which must outlive the database.
  static Result<std::unique_ptr<Database>> open(DatabaseOptions options, Executor& executor);
  /// Finishes every write that is queued.
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  /// Group commit: `body` (Txn& -> Result<T>) is queued to the one writer thread and runs there in
  /// its own savepoint; everything waiting shares one COMMIT and one fsync. The task goes on, on
  /// the executor, only after the COMMIT: a good answer is durable. A failed body undoes its own
  /// changes only; a failed COMMIT fails the whole group, nothing of it is kept. Queued in order of
  /// call. The body must not wait for anything. out_of_resources when the queue is full,
  /// unavailable when the database is closing.
  template <class F>
  Task<std::invoke_result_t<F&, Txn&>> write(F body) {
    using R = std::invoke_result_t<F&, Txn&>;
    std::optional<R> result;
    WriteJob job;
    job.body = [&](Txn& txn) -> Result<void> {
      result.emplace(body(txn));
      if (!result->ok()) return result->error();
      return ok();
    };
    Queued queued{*this, job};
    const std::optional<Error> failure = co_await queued;
    if (failure) co_return *failure;
    co_return std::move(*result);
  }

  /// Runs `body` at once on this thread, in one read transaction (a snapshot of the last COMMIT),
  /// on a connection of the pool; waits for a free one. Callers run it on an executor. Must not be
  /// called inside another read or write body.
  template <class F>
  std::invoke_result_t<F&, Txn&> read(F body) {
    std::optional<std::invoke_result_t<F&, Txn&>> result;
    const Result<void> done = run_read([&](Txn& txn) { result.emplace(body(txn)); });
    if (!done.ok()) return done.error();
    return std::move(*result);
  }

  struct Metrics {
    metrics::SizeHistogram group_size;   ///< writes that shared a COMMIT
    metrics::TimeHistogram group_time;   ///< from BEGIN to after the COMMIT
    metrics::TimeHistogram commit_time;  ///< the COMMIT alone
    metrics::TimeHistogram read_time;
    metrics::Counter failed_commits;
  };
  const Metrics& metrics() const;
  size_t waiting_writes() const;

 private:
  struct WriteJob {
    std::function<Result<void>(Txn&)> body;
    std::optional<Error> failure;
    std::coroutine_handle<> waiter;
    RequestId request;
  };
  /// Puts the job into the queue; the coroutine that owns it sleeps until it is committed.
  struct Queued {
    Database& database;
    WriteJob& job;
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> waiter) { return database.enqueue(job, waiter); }
    std::optional<Error> await_resume() const {
      RequestId::set_current(job.request);
      return std::move(job.failure);
    }
  };
  struct State;

  explicit Database(std::unique_ptr<State> state);
  /// False: refused, job.failure says why.
  bool enqueue(WriteJob& job, std::coroutine_handle<> waiter);
  Result<void> run_read(const std::function<void(Txn&)>& body);
  void write_loop();
  WriteJob* next_job();
  void commit_group(std::vector<WriteJob*>& group);
  static std::optional<Error> run_job(WriteJob& job, Txn& txn);

  std::unique_ptr<State> state_;
};

}  // namespace aster::db
