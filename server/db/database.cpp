#include "server/db/database.h"

#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "protocol/base/fault_point.h"
#include "protocol/base/guarded.h"
#include "protocol/base/log.h"
#include "server/db/connection.h"

namespace aster::db {
namespace {
/// One COMMIT costs 0.1 to 10 ms of fsync; a group that took this long gains nothing by growing.
constexpr std::chrono::milliseconds kGroupTime{20};
}  // namespace

struct Database::State {
  State(DatabaseOptions o, Executor& e) : options(std::move(o)), executor(e) {}

  const DatabaseOptions options;
  Executor& executor;
  std::unique_ptr<Connection> writer;  // the writer thread's own

  std::mutex mutex;
  std::condition_variable wake;
  std::deque<WriteJob*> queue;  // guarded by mutex
  bool stopping = false;        // guarded by mutex

  std::mutex readers_mutex;
  std::condition_variable reader_free;
  std::vector<std::unique_ptr<Connection>> readers;  // idle ones, guarded by readers_mutex

  Metrics metrics;
  std::jthread thread;
};

Result<std::unique_ptr<Database>> Database::open(DatabaseOptions options, Executor& executor) {
  ASTER_TRY(const DatabasePath where, parse_database_url(options.url));
  auto state = std::make_unique<State>(std::move(options), executor);
  ASTER_TRY(state->writer, Connection::open(where.path, Connection::Role::writer, where.create));
  ASTER_TRY(migrate(*state->writer, state->options.migrations));
  for (size_t i = 0; i < std::max<size_t>(1, state->options.readers); ++i) {
    ASTER_TRY(auto reader, Connection::open(where.path, Connection::Role::reader, false));
    state->readers.push_back(std::move(reader));
  }
  return std::unique_ptr<Database>(new Database(std::move(state)));
}

Database::Database(std::unique_ptr<State> state) : state_(std::move(state)) {
  state_->thread = std::jthread([this] { write_loop(); });
}

Database::~Database() {
  {
    std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->wake.notify_all();
  state_->thread.join();
}

bool Database::enqueue(WriteJob& job, std::coroutine_handle<> waiter) {
  job.waiter = waiter;
  job.request = RequestId::current();
  {
    std::lock_guard lock(state_->mutex);
    if (state_->stopping) {
      job.failure = fail(Errc::unavailable, "database: closing");
      return false;
    }
    if (state_->queue.size() >= state_->options.queue_limit) {
      job.failure = fail(Errc::out_of_resources, "database: too many writes are waiting");
      return false;
    }
    // Once it is queued the coroutine may go on and end on another thread: touch nothing of it.
    // Under the lock the writer cannot take it yet: what follows it may destroy this database.
    state_->queue.push_back(&job);
    state_->wake.notify_one();
  }
  return true;
}

void Database::write_loop() {
  pthread_setname_np(pthread_self(), "db-writer");
  std::vector<WriteJob*> group;
  for (;;) {
    {
      std::unique_lock lock(state_->mutex);
      state_->wake.wait(lock, [&] { return state_->stopping || !state_->queue.empty(); });
      if (state_->queue.empty()) return;
    }
    commit_group(group);
    for (WriteJob* job : group) {
      const std::coroutine_handle<> waiter = job->waiter;
      state_->executor.post([waiter] { waiter.resume(); });
    }
    group.clear();
  }
}

Database::WriteJob* Database::next_job() {
  std::lock_guard lock(state_->mutex);
  if (state_->queue.empty()) return nullptr;
  WriteJob* job = state_->queue.front();
  state_->queue.pop_front();
  return job;
}

std::optional<Error> Database::run_job(WriteJob& job, Txn& txn) {
  const RequestScope scope(job.request);
  const Result<void> done = txn.nested([&]() -> Result<void> {
    try {
      return job.body(txn);
    } catch (const std::exception& e) {
      return fail(Errc::internal, std::string("database write: ") + e.what());
    }
  });
  if (done.ok()) return std::nullopt;
  return done.error();
}

void Database::commit_group(std::vector<WriteJob*>& group) {
  Connection& connection = *state_->writer;
  Txn txn(connection);
  Result<void> committed = connection.run("BEGIN IMMEDIATE");
  // Whoever comes while the group runs still joins, until it has taken long enough: the first must
  // not wait for ever for its COMMIT.
  const SteadyTime began = std::chrono::steady_clock::now();
  const SteadyTime deadline = began + kGroupTime;
  while (group.size() < state_->options.group_limit) {
    WriteJob* job = next_job();
    if (job == nullptr) break;
    group.push_back(job);
    if (committed.ok()) job->failure = run_job(*job, txn);
    if (std::chrono::steady_clock::now() >= deadline) break;
  }
  if (committed.ok()) {
    ASTER_FAULT_POINT("db.before_commit");
    const SteadyTime ended = std::chrono::steady_clock::now();
    committed = txn.failed() ? Result<void>(*txn.failure()) : connection.run("COMMIT");
    ASTER_FAULT_POINT("db.after_commit");
    const SteadyTime now = std::chrono::steady_clock::now();
    state_->metrics.commit_time.observe(now - ended);
    state_->metrics.group_time.observe(now - began);
    state_->metrics.group_size.observe(group.size());
  }
  if (!committed.ok()) {
    if (connection.in_transaction()) (void)connection.run("ROLLBACK");
    state_->metrics.failed_commits.add();
    ASTER_LOG(error, "database_commit_failed", {"writes", group.size()},
              {"err", committed.error()});
    for (WriteJob* job : group) job->failure = committed.error();
    return;
  }
  for (const auto& action : txn.take_actions()) action();
}

const Database::Metrics& Database::metrics() const {
  return state_->metrics;
}

size_t Database::waiting_writes() const {
  std::lock_guard lock(state_->mutex);
  return state_->queue.size();
}

Result<void> Database::run_read(const std::function<void(Txn&)>& body) {
  std::unique_ptr<Connection> connection;
  {
    std::unique_lock lock(state_->readers_mutex);
    state_->reader_free.wait(lock, [&] { return !state_->readers.empty(); });
    connection = std::move(state_->readers.back());
    state_->readers.pop_back();
  }
  struct GiveBack {
    State& state;
    std::unique_ptr<Connection>& connection;
    ~GiveBack() {
      if (connection->in_transaction()) (void)connection->run("ROLLBACK");
      {
        std::lock_guard lock(state.readers_mutex);
        state.readers.push_back(std::move(connection));
      }
      state.reader_free.notify_one();
    }
  } give_back{*state_, connection};

  Txn txn(*connection);
  const SteadyTime began = std::chrono::steady_clock::now();
  txn.exec("BEGIN");
  if (!txn.failed()) body(txn);
  txn.exec("COMMIT");
  state_->metrics.read_time.observe(std::chrono::steady_clock::now() - began);
  if (txn.failed()) return *txn.failure();
  return ok();
}

}  // namespace aster::db
