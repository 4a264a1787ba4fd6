#include "server/primary/namespace_service.h"

#include <algorithm>

#include "protocol/base/executor.h"
#include "protocol/base/log.h"
#include "server/db/database.h"
#include "server/db/places.h"
#include "server/primary/collector.h"
#include "server/primary/composer.h"
#include "server/primary/duty.h"
#include "server/primary/event_stream.h"
#include "server/primary/kept_collector.h"
#include "server/primary/lease_table.h"
#include "server/primary/lock_table.h"
#include "server/primary/mutation.h"
#include "server/primary/namespace_meter.h"
#include "server/primary/object_backend.h"
#include "server/primary/operation_counts.h"
#include "server/primary/operation_runner.h"
#include "server/primary/pack_rewriter.h"
#include "server/primary/read_operations.h"
#include "server/primary/tree_operations.h"

namespace aster::primary {
namespace {

constexpr std::chrono::minutes kComposeIdle{10};  // after a commit that was not sealed
constexpr std::chrono::seconds kCollectorPeriod{30};
constexpr std::chrono::seconds kComposerPeriod{60};
constexpr size_t kClientNameMax = 1024;
/// Of one batch's answer, by estimated_size(): leaves room below kBatchBytesMax.
constexpr size_t kAnswerBudget = fs::kBatchBytesMax - (1 << 20);

using Answers = std::vector<Result<fs::Answer>>;

class SqlNamespaceService final : public NamespaceService, public NamespaceMeter {
 public:
  SqlNamespaceService(NamespaceOptions options, Guid epoch, db::Database& database,
                      ObjectBackends& backends, Executor& executor, const Clock& clock)
      : options_(options),
        database_(database),
        executor_(executor),
        clock_(clock),
        hub_({epoch, options.heartbeat}, executor, clock),
        leases_(std::make_shared<LeaseTable>(
            LeaseTable::Options{.term = options.lease_term}, executor, clock,
            [this](SessionId id, uint64_t lease) { hub_.announce(id, lease); })),
        locks_(options.lease_term, clock,
               [this](InodeNo directory, std::vector<InodeNo> inodes) {
                 return held_below(directory, std::move(inodes));
               }),
        runner_({options.compose_delay, kComposeIdle}, options, backends, hub_, *leases_, clock),
        kept_collector_(options, database, backends, clock),
        collector_(options, database, backends, hub_, clock),
        composer_(database, backends, clock),
        pack_rewriter_(options, database, backends, clock),
        collecting_(executor),
        composing_(executor),
        collector_duty_("collector", kCollectorPeriod, [this] { return collect(); }),
        composer_duty_("composer", kComposerPeriod, [this] { return compose(); }) {
    leases_->on_want([this](SessionId id, const fs::LeaseWanted& w) { hub_.announce(id, w); });
    hub_.on_end([this](SessionId id) {
      leases_->close(id);
      locks_.close(id);
    });
  }
  ~SqlNamespaceService() override { SqlNamespaceService::stop(); }

  Task<Answers> apply(Caller caller, fs::BatchRequest request) override;
  Task<Result<uint64_t>> create_workspace(std::string name) override;
  Result<InodeNo> root_of(uint64_t workspace) override;
  Task<Result<fs::SessionAnswer>> open_session(Caller caller, fs::SessionRequest request) override;
  Task<Result<void>> close_session(Caller caller) override;
  Task<Result<void>> end_sessions(UserId user, uint64_t workspace) override;
  std::optional<uint64_t> workspace_of_session(UserId user, SessionId session) override {
    return hub_.workspace_of(user, session);
  }
  bool touch_session(const Caller& caller) override { return hub_.touch(session_of(caller)); }
  Result<fs::AckAnswer> acknowledge(const Caller& caller, const fs::Ack& ack) override;
  Task<Result<fs::LeaseAnswer>> lease(Caller caller, fs::LeaseRequest request) override;
  RecallPtr call_back(uint64_t workspace) override { return leases_->want_all(workspace); }
  Task<Result<fs::LockAnswer>> lock(Caller caller, fs::LockRequest request) override;
  Result<std::shared_ptr<ByteSource>> events(const Caller& caller, std::string cursor) override;
  void start_duties() override;
  void stop() override;
  Task<Result<void>> run_duties_once() override;
  void write_metrics(metrics::Exposition& out) const override;
  GuestLocks& guest_locks() { return locks_; }

  Result<void> load_sessions();

 private:
  static EventHub::Session session_of(const Caller& caller) {
    return {caller.session, caller.user, caller.workspace};
  }
  /// Consecutive operations that share a transaction.
  Task<Result<Answers>> write_run(const Caller& caller, std::span<const fs::BatchItem> items,
                                  bool stop_on_error);
  Task<Result<Answers>> read_run(const Caller& caller, std::span<const fs::BatchItem> items,
                                 bool stop_on_error);
  /// Sets `kept` instead when others keep changes to themselves of what the answers tell.
  Result<Answers> read_leased(const Caller& caller, std::span<const fs::BatchItem> items,
                              bool stop_on_error, RecallPtr& kept);
  Result<Answers> read_all(const Caller& caller, std::span<const fs::BatchItem> items,
                           bool stop_on_error);
  Task<Result<std::vector<LockedBelow>>> held_below(InodeNo directory, std::vector<InodeNo> inodes);
  void wake_composer(std::span<const fs::BatchItem> items);
  Task<Result<void>> collect();
  Task<Result<void>> compose();

  const NamespaceOptions options_;
  db::Database& database_;
  Executor& executor_;
  const Clock& clock_;
  EventHub hub_;
  const std::shared_ptr<LeaseTable> leases_;
  LockTable locks_;
  OperationRunner runner_;
  OperationCounts counts_;
  KeptCollector kept_collector_;
  Collector collector_;
  Composer composer_;
  PackRewriter pack_rewriter_;
  AsyncMutex collecting_;  // one round of a duty at a time
  AsyncMutex composing_;
  Duty collector_duty_;
  Duty composer_duty_;
};

std::vector<LeaseWish> leased(std::span<const fs::BatchItem> items, const Answers& answers) {
  std::vector<LeaseWish> wishes;
  for (size_t i = 0; i < answers.size(); ++i) {
    const std::vector<LeaseWish> more = leased_by(items[i].operation, answers[i]);
    wishes.insert(wishes.end(), more.begin(), more.end());
  }
  return wishes;
}

/// Refuses reads that would make the whole answer too large to send. The first always fits.
void keep_within_budget(Answers& answers, std::span<const fs::BatchItem> items) {
  size_t used = 0;
  for (size_t i = 0; i < answers.size(); ++i) {
    if (!answers[i].ok()) continue;
    const size_t size = estimated_size(*answers[i]);
    if (used > 0 && used + size > kAnswerBudget && !OperationRunner::writes(items[i].operation)) {
      answers[i] = fail(Errc::out_of_resources, "the batch's answer is too large: ask for less");
    } else {
      used += size;
    }
  }
}

Task<Answers> SqlNamespaceService::apply(Caller caller, fs::BatchRequest request) {
  const std::span<const fs::BatchItem> items(request.items);
  Answers answers;
  if (items.size() > fs::kBatchOpsMax) {
    answers.assign(items.size(), fail(Errc::bad_request, "too many operations in one batch"));
    co_return answers;
  }
  while (answers.size() < items.size()) {
    const size_t begin = answers.size();
    const bool stopped = request.stop_on_error && begin > 0 && !answers.back().ok();
    if (stopped) {
      answers.resize(items.size(), fail(Errc::interrupted, "an earlier operation failed"));
      break;
    }
    const bool writes = OperationRunner::writes(items[begin].operation);
    size_t end = begin + 1;
    while (end < items.size() && OperationRunner::shares_run(writes, items[end].operation)) ++end;
    const auto run = items.subspan(begin, end - begin);
    Task<Result<Answers>> task = writes ? write_run(caller, run, request.stop_on_error)
                                        : read_run(caller, run, request.stop_on_error);
    Result<Answers> done = co_await std::move(task);
    if (done.ok()) {
      for (Result<fs::Answer>& one : *done) answers.push_back(std::move(one));
    } else {
      answers.resize(end, done.error());
    }
  }
  keep_within_budget(answers, items);
  for (size_t i = 0; i < items.size(); ++i) counts_.add(items[i].operation, answers[i].ok());
  co_return answers;
}

/// Nobody may hear of it yet; the operation ids make the repetition harmless.
Error stopping() {
  return fail(Errc::unavailable, "the server is stopping");
}

Task<Result<Answers>> SqlNamespaceService::write_run(const Caller& caller,
                                                     std::span<const fs::BatchItem> items,
                                                     bool stop_on_error) {
  Answers all;
  for (;;) {
    std::vector<RecallPtr> recalls;
    RecallPtr blocked;
    const auto left = items.subspan(all.size());
    Result<Answers> answers = co_await database_.write([&](db::Txn& txn) -> Result<Answers> {
      blocked.reset();
      return runner_.write(txn, caller, left, stop_on_error, recalls, blocked);
    });
    if (!answers.ok()) co_return answers.error();
    std::move(answers->begin(), answers->end(), std::back_inserter(all));
    for (const RecallPtr& recall : recalls) {
      const bool settled = co_await recall->done();
      if (!settled) co_return stopping();  // committed
    }
    if (!blocked) break;
    const bool given = co_await blocked->done();
    if (!given) co_return stopping();
    const bool failed = stop_on_error && !all.empty() && !all.back().ok();
    if (failed) all.resize(items.size(), fail(Errc::interrupted, "an earlier operation failed"));
    if (all.size() == items.size()) break;
  }
  wake_composer(items);
  co_return all;
}

Task<Result<Answers>> SqlNamespaceService::read_run(const Caller& caller,
                                                    std::span<const fs::BatchItem> items,
                                                    bool stop_on_error) {
  for (;;) {
    RecallPtr kept;
    Result<Answers> answers =
        co_await executor_.run([&] { return read_leased(caller, items, stop_on_error, kept); });
    if (!kept) co_return answers;
    const bool given = co_await kept->done();
    if (!given) co_return stopping();
  }
}

std::vector<InodeNo> inodes_of(std::span<const LeaseWish> wishes) {
  std::vector<InodeNo> inodes;
  inodes.reserve(wishes.size());
  for (const LeaseWish& wish : wishes) inodes.push_back(wish.ino);
  return inodes;
}

// Between the two questions to the table a lease for writing may be taken: then what was read
// counts as changed, as soon as that is committed.
Result<Answers> SqlNamespaceService::read_leased(const Caller& caller,
                                                 std::span<const fs::BatchItem> items,
                                                 bool stop_on_error, RecallPtr& kept) {
  const auto read = [&]() -> Result<Answers> {
    ASTER_TRY(Answers answers, read_all(caller, items, stop_on_error));
    if (!leases_->writing()) return answers;
    kept = leases_->want(caller.session, caller.workspace, inodes_of(leased(items, answers)));
    return answers;
  };
  const uint64_t mark = leases_->mark();
  ASTER_TRY(Answers answers, read());
  if (kept || !caller.session) return answers;
  if (leases_->grant(caller.session, mark, leased(items, answers))) return answers;
  LeaseTable::Reading reading(*leases_, caller.session);
  ASTER_TRY(answers, read());
  if (!kept) reading.grant(leased(items, answers));
  return answers;
}

Result<Answers> SqlNamespaceService::read_all(const Caller& caller,
                                              std::span<const fs::BatchItem> items,
                                              bool stop_on_error) {
  return database_.read([&](db::Txn& txn) -> Result<Answers> {
    Answers answers;
    answers.reserve(items.size());
    for (const fs::BatchItem& item : items) {
      if (stop_on_error && !answers.empty() && !answers.back().ok()) {
        answers.push_back(fail(Errc::interrupted, "an earlier operation failed"));
      } else {
        answers.push_back(runner_.read(txn, caller, item.operation));
      }
    }
    return answers;
  });
}

void SqlNamespaceService::wake_composer(std::span<const fs::BatchItem> items) {
  for (const fs::BatchItem& item : items) {
    const auto* commit = std::get_if<fs::Commit>(&item.operation);
    if (commit == nullptr || !commit->sealed) continue;
    composer_duty_.wake_within(options_.compose_delay);
    return;
  }
}

Task<Result<uint64_t>> SqlNamespaceService::create_workspace(std::string name) {
  const int64_t now = clock_.now_ns();
  Result<uint64_t> made = co_await database_.write([&](db::Txn& txn) -> Result<uint64_t> {
    db::FsStore store(txn);
    const uint64_t workspace = store.workspaces.insert(name, now);
    const db::InodeRow root = make_root(store, workspace, now);
    store.workspaces.set_root(workspace, root.attr.ino);
    store.workspaces.add_usage(workspace, {1, 0, 0});
    return workspace;
  });
  co_return made;
}

Result<InodeNo> SqlNamespaceService::root_of(uint64_t workspace) {
  return database_.read([&](db::Txn& txn) -> Result<InodeNo> {
    const std::optional<InodeNo> root = db::WorkspaceStore(txn).root(workspace);
    if (!root) return fail(Errc::not_found, "workspace " + std::to_string(workspace));
    return *root;
  });
}

/// 53 random bits: unguessable enough beside the check of the user, exact in every JSON reader.
SessionId new_session_id() {
  uint64_t bits = 0;
  fill_random(reinterpret_cast<std::byte*>(&bits), sizeof bits);
  return SessionId((bits >> 11) | 1);
}

Task<Result<fs::SessionAnswer>> SqlNamespaceService::open_session(Caller caller,
                                                                  fs::SessionRequest request) {
  if (request.client.size() > kClientNameMax) co_return fail(Errc::bad_request, "client name");
  caller.session = new_session_id();
  fs::SessionAnswer answer;
  answer.session = caller.session;
  answer.heartbeat_ms = static_cast<uint32_t>(options_.heartbeat.count());
  answer.entry_ttl_ms = static_cast<uint32_t>(options_.entry_ttl.count());
  answer.lease_ms = static_cast<uint32_t>(options_.lease_term.count());
  if (!hub_.add(session_of(caller))) {
    co_return fail(Errc::out_of_resources, "too many sessions");
  }
  leases_->open(caller.session, caller.workspace, false);
  const int64_t now = clock_.now_ns();
  const Result<void> stored = co_await database_.write([&](db::Txn& txn) -> Result<void> {
    db::FsStore store(txn);
    const std::optional<InodeNo> root = store.workspaces.root(caller.workspace);
    if (!root) return fail(Errc::not_found, "workspace " + std::to_string(caller.workspace));
    store.sessions.insert({caller.session, caller.user, caller.workspace, request.client, now});
    answer.root = *root;
    answer.cursor = EventCursor{hub_.epoch(), store.journal.newest()}.text();
    return ok();
  });
  if (!stored.ok()) {
    hub_.remove(caller.session);
    co_return stored.error();
  }
  co_return answer;
}

Task<Result<void>> SqlNamespaceService::close_session(Caller caller) {
  if (!touch_session(caller)) co_return fail(Errc::stale_handle, "the session has ended");
  Result<void> erased =
      co_await database_.write([id = caller.session](db::Txn& txn) -> Result<void> {
        db::SessionStore(txn).erase(id);
        return ok();
      });
  if (erased.ok()) hub_.remove(caller.session);
  co_return erased;
}

Task<Result<void>> SqlNamespaceService::end_sessions(UserId user, uint64_t workspace) {
  const std::vector<SessionId> ended = hub_.sessions_of(user, workspace);
  if (ended.empty()) co_return ok();
  // Whatever becomes of the rows: nobody goes on.
  for (const SessionId id : ended) hub_.remove(id);
  co_return co_await database_.write([&](db::Txn& txn) -> Result<void> {
    for (const SessionId id : ended) db::SessionStore(txn).erase(id);
    return ok();
  });
}

Result<std::shared_ptr<ByteSource>> SqlNamespaceService::events(const Caller& caller,
                                                                std::string cursor) {
  std::shared_ptr<EventQueue> queue;
  if (touch_session(caller)) queue = hub_.attach(caller.session);
  if (!queue) return fail(Errc::stale_handle, "the session has ended");
  return std::shared_ptr<ByteSource>(
      std::make_shared<EventStream>(session_of(caller), std::move(cursor), std::move(queue), hub_,
                                    *leases_, database_, executor_));
}

Result<fs::AckAnswer> SqlNamespaceService::acknowledge(const Caller& caller, const fs::Ack& ack) {
  if (!touch_session(caller)) return fail(Errc::stale_handle, "the session has ended");
  // A cursor of another history acknowledges nothing.
  const auto position = [this](const std::string& text) -> uint64_t {
    const std::optional<EventCursor> cursor = EventCursor::parse(text);
    return cursor && cursor->epoch == hub_.epoch() ? cursor->position : 0;
  };
  LeaseTable::Acked acked{ack.lease, position(ack.cursor), {}};
  for (const std::string& one : ack.done) acked.done.push_back(position(one));
  return leases_->acknowledge(caller.session, acked);
}

Task<Result<fs::LeaseAnswer>> SqlNamespaceService::lease(Caller caller, fs::LeaseRequest request) {
  if (!touch_session(caller)) co_return fail(Errc::stale_handle, "the session has ended");
  leases_->give(caller.session, request.give);
  if (request.give_all) leases_->give_all(caller.session);
  if (!request.take || caller.read_only) co_return fs::LeaseAnswer();
  std::vector<RecallPtr> recalls;
  Result<fs::LeaseAnswer> answer =
      co_await database_.write([&](db::Txn& txn) -> Result<fs::LeaseAnswer> {
        return runner_.take(txn, caller, request, recalls);
      });
  for (const RecallPtr& recall : recalls) {
    const bool settled = co_await recall->done();
    if (!settled) co_return stopping();
  }
  co_return answer;
}

Task<Result<fs::LockAnswer>> SqlNamespaceService::lock(Caller caller, fs::LockRequest request) {
  if (!touch_session(caller)) co_return fail(Errc::stale_handle, "the session has ended");
  if (request.unlock) co_return locks_.apply(request);
  for (;;) {
    const uint64_t mark = locks_.deep_mark();
    // Nobody may hold up anything in another workspace.
    ASTER_CO_TRY(const LockTable::Place place, co_await executor_.run([&] {
      return database_.read([&](db::Txn& txn) -> Result<LockTable::Place> {
        db::FsStore store(txn);
        ASTER_TRY(const db::InodeRow row, find_inode(store, caller, request.ino));
        LockTable::Place at{mark, {}};
        if (mark != 0) at.above = db::directories_above(txn, row.attr.ino);
        return at;
      });
    }));
    ASTER_CO_TRY(const std::optional<fs::LockAnswer> answer, locks_.apply(request, place));
    if (answer) co_return *answer;
  }
}

Task<Result<std::vector<LockedBelow>>> SqlNamespaceService::held_below(
    InodeNo directory, std::vector<InodeNo> inodes) {
  auto body = [&](db::Txn& txn) -> Result<std::vector<LockedBelow>> {
    std::vector<LockedBelow> below;
    for (const InodeNo ino : inodes) {
      auto path = db::path_below(txn, directory, ino);
      if (path) below.push_back({ino, std::move(*path)});
    }
    return below;
  };
  co_return co_await executor_.run([&] { return database_.read(body); });
}

Result<void> SqlNamespaceService::load_sessions() {
  ASTER_TRY(const std::vector<db::SessionRow> rows,
            database_.read([](db::Txn& txn) -> Result<std::vector<db::SessionRow>> {
              return db::SessionStore(txn).all();
            }));
  for (const db::SessionRow& row : rows) {
    hub_.add({row.id, row.user, row.workspace});
    leases_->open(row.id, row.workspace, true, row.writes);
    locks_.restored(row.id);
  }
  return ok();
}

void SqlNamespaceService::start_duties() {
  collector_duty_.start();
  composer_duty_.start();
}

void SqlNamespaceService::stop() {
  leases_->stop();
  hub_.end_streams();
  collector_duty_.stop();
  composer_duty_.stop();
}

Task<Result<void>> SqlNamespaceService::collect() {
  const auto lock = co_await collecting_.acquire();
  const Result<void> kept = co_await kept_collector_.round();
  Result<void> collected = co_await collector_.round();
  if (!kept.ok()) collected = kept;
  const Result<void> rewritten = co_await pack_rewriter_.round();
  co_return collected.ok() ? rewritten : collected;
}

Task<Result<void>> SqlNamespaceService::compose() {
  const auto lock = co_await composing_.acquire();
  Result<void> done = co_await composer_.round();
  if (!done.ok()) co_return done;  // again with the next regular round
  const auto next = composer_.next_due();
  if (next.ok() && *next) composer_duty_.wake_within(**next);
  co_return done;
}

void SqlNamespaceService::write_metrics(metrics::Exposition& out) const {
  counts_.write(out);
  const EventHub::Stats hub = hub_.stats();
  out.gauge("aster_sessions", "Sessions of mounts", {}, static_cast<double>(hub.sessions));
  out.gauge("aster_event_streams", "Sessions that follow events", {},
            static_cast<double>(hub.streams));
  const LeaseTable::Stats leases = leases_->stats();
  out.gauge("aster_leases", "Inodes and directories that clients may believe", {},
            static_cast<double>(leases.leases));
  out.gauge("aster_write_leases", "Inodes and directories of which clients keep changes", {},
            static_cast<double>(leases.writes));
  out.gauge("aster_lease_waits", "Changes that wait for clients to forget", {},
            static_cast<double>(leases.waiting));
  out.counter("aster_lease_recalls_total", "Leases that were called back", {}, leases.recalls);
  out.counter("aster_lease_losses_total", "Leases taken away because nobody answered", {},
              leases.lost);
  out.counter("aster_objects_removed_total", "Objects that the collector removed", {},
              collector_.removed());
  out.counter("aster_object_removals_failed_total", "Those that a node did not remove", {},
              collector_.failed());
  out.counter("aster_compositions_total", "Files whose parts became one object", {},
              composer_.composed());
  out.counter("aster_rewrites_total", "Stretches of files whose pieces became one object", {},
              composer_.rewritten());
  out.counter("aster_compositions_failed_total", "Attempts that a node refused or lost", {},
              composer_.failed());
}

Task<Result<void>> SqlNamespaceService::run_duties_once() {
  Result<void> composed = co_await compose();
  Result<void> collected = co_await collect();
  if (!composed.ok()) co_return composed;
  co_return collected;
}

}  // namespace

GuestLocks* guest_locks_of(NamespaceService& service) {
  auto* const known = dynamic_cast<SqlNamespaceService*>(&service);
  return known != nullptr ? &known->guest_locks() : nullptr;
}

Result<std::unique_ptr<NamespaceService>> make_namespace_service(NamespaceOptions options,
                                                                 db::Database& database,
                                                                 ObjectBackends& backends,
                                                                 Executor& executor,
                                                                 const Clock& clock) {
  ASTER_TRY(const Guid epoch, database.read([](db::Txn& txn) -> Result<Guid> {
    return db::JournalStore(txn).epoch();
  }));
  auto service =
      std::make_unique<SqlNamespaceService>(options, epoch, database, backends, executor, clock);
  ASTER_TRY(service->load_sessions());
  return std::unique_ptr<NamespaceService>(std::move(service));
}

}  // namespace aster::primary
