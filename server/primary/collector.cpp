#include "server/primary/collector.h"

#include <map>

#include "protocol/base/log.h"
#include "server/db/backup.h"
#include "server/db/database.h"
#include "server/db/fs_store.h"
#include "server/db/kept_store.h"
#include "server/db/tree_quota_store.h"
#include "server/primary/event_hub.h"
#include "server/primary/extent_map.h"
#include "server/primary/object_backend.h"

namespace aster::primary {
namespace {

/// Rows per transaction: a few milliseconds of the writer's time.
constexpr size_t kChunk = 1000;
constexpr size_t kRemovalsAtOnce = 256;
/// Then the round goes on with its other duties: each failure may have cost a full timeout.
constexpr size_t kRemovalFailuresMax = 32;
/// A client may repeat a mutation for that long and still get the answer of the first time.
constexpr std::chrono::hours kAnswersKept{24};
/// How far back a reader of the journal may resume.
constexpr std::chrono::hours kJournalKept{7 * 24};

int64_t before(const Clock& clock, std::chrono::nanoseconds age) {
  return clock.now_ns() - age.count();
}

/// Frees one nameless inode, or kChunk of its extents when it has more.
void free_inode(db::FsStore& store, InodeNo ino, int64_t now) {
  const std::optional<db::InodeRow> row = store.inodes.find(ino);
  if (!row) {
    store.sessions.remove_orphan(ino);
    return;
  }
  db::Usage usage;
  const auto extents = store.extents.overlapping(ino, 0, fs::kFileSizeMax, kChunk);
  ExtentMap map(store, ino);
  if (!extents.empty()) map.punch(0, extents.back().end());
  map.settle(now);
  usage.bytes = map.allocated_delta();
  db::TreeQuotaStore trees(store.txn);
  if (usage.bytes != 0) trees.charge(trees.tree_of(ino), usage.bytes);
  if (extents.size() < kChunk) {
    store.compose.dequeue(ino);
    db::KeptStore(store.txn).doom_versions(ino);
    if (row->attr.type == fs::FileType::directory) db::DirectorySettings(store.txn).forget(ino);
    store.inodes.erase(ino);
    store.sessions.remove_orphan(ino);
    usage.inodes = -1;
  }
  store.workspaces.add_usage(row->workspace, usage);
}

}  // namespace

Collector::Collector(const NamespaceOptions& options, db::Database& database,
                     ObjectBackends& backends, EventHub& hub, const Clock& clock)
    : options_(options), database_(database), backends_(backends), hub_(hub), clock_(clock) {}

Task<Result<void>> Collector::round() {
  Result<void> sessions = co_await end_silent_sessions();
  Result<void> orphans = co_await collect_orphans();
  Result<void> live = co_await mark_dead(db::ObjectState::live, options_.object_grace);
  Result<void> pending = co_await mark_dead(db::ObjectState::pending, options_.grant_lifetime);
  Result<void> dead = co_await remove_dead();
  Result<void> old = co_await prune();
  for (Result<void>* part : {&sessions, &orphans, &live, &pending, &dead, &old}) {
    if (!part->ok()) co_return std::move(*part).error();
  }
  co_return ok();
}

Task<Result<void>> Collector::end_silent_sessions() {
  const std::vector<EventHub::Session> silent = hub_.silent(options_.session_timeout);
  for (const EventHub::Session& session : silent) {
    const Result<void> done =
        co_await database_.write([id = session.id](db::Txn& txn) -> Result<void> {
          db::SessionStore(txn).erase(id);
          return ok();
        });
    if (!done.ok()) co_return done.error();
    hub_.remove(session.id);
    ASTER_LOG(info, "session_timed_out", {"session", session.id.value});
  }
  co_return ok();
}

Task<Result<void>> Collector::collect_orphans() {
  for (;;) {
    const int64_t now = clock_.now_ns();
    const int64_t limit = before(clock_, options_.orphan_grace);
    const Result<bool> more = co_await database_.write([=](db::Txn& txn) -> Result<bool> {
      db::FsStore store(txn);
      // Few at a time: each may bring kChunk extents.
      const auto orphans = store.sessions.collectable_orphans(limit, 16);
      for (const InodeNo ino : orphans) free_inode(store, ino, now);
      return !orphans.empty();
    });
    if (!more.ok()) co_return more.error();
    if (!*more) co_return ok();
  }
}

Task<Result<void>> Collector::mark_dead(db::ObjectState state, std::chrono::nanoseconds grace) {
  for (;;) {
    const int64_t now = clock_.now_ns();
    const int64_t limit = before(clock_, grace);
    const Result<bool> more = co_await database_.write([=](db::Txn& txn) -> Result<bool> {
      db::FsStore store(txn);
      // A backup that is still kept names what lost its last reference since it was taken.
      const bool live = state == db::ObjectState::live;
      const int64_t until = live ? std::min(limit, db::kept_since(txn, now) - 1) : limit;
      const auto rows = store.objects.idle(state, until, kChunk);
      for (const db::ObjectRow& row : rows) {
        store.objects.set_state(row.id, db::ObjectState::dead, now);
        if (state == db::ObjectState::pending) {
          store.workspaces.add_usage(row.workspace, {0, 0, -1});
        }
      }
      return rows.size() == kChunk;
    });
    if (!more.ok()) co_return more.error();
    if (!*more) co_return ok();
  }
}

Task<Result<void>> Collector::remove_dead() {
  // Once round the line, from behind what was tried last: one unreachable follower does not keep
  // the others' garbage, and each object goes on saying how long it has been waiting.
  // What a backup still names is dead from a time to come on.
  const db::DeadPlace began = tried_;
  const db::DeadPlace now{clock_.now_ns(), INT64_MAX};
  bool again_from_start = false;
  size_t failures = 0;
  while (failures < kRemovalFailuresMax) {
    const db::DeadPlace end = again_from_start ? began : now;
    const Result<std::vector<db::DeadObject>> rows =
        database_.read([&](db::Txn& txn) -> Result<std::vector<db::DeadObject>> {
          return db::dead_objects(txn, tried_, end, kRemovalsAtOnce);
        });
    if (!rows.ok()) co_return rows.error();
    if (rows->empty() && again_from_start) break;
    if (rows->empty()) {
      again_from_start = true;
      tried_ = {};
      continue;
    }
    tried_ = {rows->back().since, rows->back().id};
    ASTER_CO_TRY(const size_t failed, co_await remove_objects(*rows));
    failures += failed;
  }
  if (failures > 0) ASTER_LOG(warn, "objects_not_removed", {"count", failures});
  co_return ok();
}

Task<Result<size_t>> Collector::remove_objects(std::vector<db::DeadObject> rows) {
  std::map<PolicyId, std::vector<db::DeadObject>> by_policy;
  for (db::DeadObject& row : rows) by_policy[row.policy].push_back(row);
  std::vector<Task<std::vector<Removal>>> under_way;
  for (auto& [policy, some] : by_policy) under_way.push_back(remove_of(policy, std::move(some)));
  const std::vector<std::vector<Removal>> removals = co_await when_all(std::move(under_way));
  const Result<size_t> noted =
      co_await database_.write([&removals](db::Txn& txn) -> Result<size_t> {
        db::ObjectStore objects(txn);
        size_t failures = 0;
        for (const auto& of_policy : removals) {
          for (const Removal& removal : of_policy) {
            if (removal.gone) {
              objects.erase(removal.id);
            } else {
              ++failures;
            }
          }
        }
        return failures;
      });
  co_return noted;
}

Task<std::vector<Collector::Removal>> Collector::remove_of(PolicyId policy,
                                                           std::vector<db::DeadObject> rows) {
  std::vector<ObjectId> names;
  for (const db::DeadObject& row : rows) names.push_back(row.name);
  const std::vector<Result<void>> removed =
      co_await backends_.remove_many(policy, std::move(names));
  std::vector<Removal> out;
  for (size_t i = 0; i < rows.size(); ++i) {
    out.push_back({rows[i].id, removed[i].ok()});
    (removed[i].ok() ? removed_ : failed_).add();
    if (!removed[i].ok()) {
      ASTER_LOG(debug, "object_not_removed", {"policy", policy.value}, {"err", removed[i].error()});
    }
  }
  co_return out;
}

Task<Result<void>> Collector::prune() {
  for (;;) {
    const int64_t answers = before(clock_, kAnswersKept);
    const int64_t journal = before(clock_, kJournalKept);
    const Result<bool> more = co_await database_.write([=](db::Txn& txn) -> Result<bool> {
      db::JournalStore store(txn);
      const int64_t a = store.prune_answers(answers, kChunk);
      const int64_t j = store.prune(journal, kChunk);
      return a == static_cast<int64_t>(kChunk) || j == static_cast<int64_t>(kChunk);
    });
    if (!more.ok()) co_return more.error();
    if (!*more) co_return ok();
  }
}

}  // namespace aster::primary
