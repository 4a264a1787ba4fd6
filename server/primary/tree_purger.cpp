#include "server/primary/tree_purger.h"

#include "protocol/base/executor.h"
#include "protocol/base/log.h"
#include "server/db/database.h"
#include "server/db/fs_store.h"
#include "server/db/kept_store.h"
#include "server/db/team_store.h"
#include "server/db/tree_quota_store.h"

namespace aster::primary {
namespace {

using db::InodeRow;
using db::PurgeRow;
using db::PurgeStore;

/// Names per transaction: a few milliseconds of the writer's time.
constexpr size_t kPurgeStep = 500;
/// As often as the collector works, on which each purge waits.
constexpr std::chrono::seconds kPurgePeriod{30};

constexpr std::string_view kUserMark = "user:";  // in names of purges; teams have no ':'

Result<PurgeRow> begin_purge(db::Txn& txn, uint64_t workspace, std::string name, int64_t now) {
  db::FsStore store(txn);
  PurgeStore purges(txn);
  const std::optional<InodeNo> root = store.workspaces.root(workspace);
  if (!root) return fail(Errc::internal, name + " has no tree");
  PurgeRow purge;
  purge.workspace = workspace;
  purge.name = std::move(name);
  purge.started = now;
  if (const std::optional<db::Usage> usage = store.workspaces.usage(workspace)) {
    purge.inodes = usage->inodes;
    purge.bytes = usage->bytes;
  }
  purges.insert(purge);
  purges.push(workspace, {*root, *root, ""});
  db::TreeQuotaStore(txn).forget_workspace(workspace);
  return purge;
}

Result<PurgeRow> begin_team(db::Txn& txn, uint64_t team, int64_t now) {
  ASTER_TRY(const db::TeamRow row, db::remove_archived_team(txn, team));
  return begin_purge(txn, row.workspace, row.name, now);
}

Result<PurgeRow> begin_user(db::Txn& txn, UserId user, bool with_files, int64_t now) {
  ASTER_TRY(const db::UserRow row, db::remove_user(txn, user, with_files));
  const std::string name = std::string(kUserMark) + row.name;
  // Who never came has no tree.
  if (row.workspace == 0) return PurgeRow{.name = name};
  return begin_purge(txn, row.workspace, name, now);
}

/// One name less. What has no other becomes an orphan, whoever holds it.
void remove_name(db::FsStore& store, InodeNo parent, const std::string& name, InodeNo ino,
                 int64_t now) {
  store.inodes.remove_entry(parent, name);
  std::optional<InodeRow> row = store.inodes.find(ino);
  if (!row) return;
  const bool directory = row->attr.type == fs::FileType::directory;
  row->attr.nlink = directory ? 0 : row->attr.nlink - 1;
  store.inodes.update(*row);
  if (row->attr.nlink == 0) store.sessions.add_orphan(ino, now);
}

/// Takes names out of the deepest folder, or the empty folder out of the one above it. False: only
/// the root is left.
bool remove_some(db::FsStore& store, PurgeStore& purges, uint64_t workspace, int64_t now) {
  const std::optional<PurgeStore::Directory> at = purges.deepest(workspace);
  if (!at) return false;
  const auto entries = store.inodes.list(at->ino, 0, kPurgeStep);
  for (const fs::DirEntry& entry : entries) {
    if (entry.attr.type == fs::FileType::directory) {
      purges.push(workspace, {entry.attr.ino, at->ino, entry.name});
    } else {
      remove_name(store, at->ino, entry.name, entry.attr.ino, now);
    }
  }
  if (!entries.empty()) return true;
  if (at->ino == at->parent) return false;
  remove_name(store, at->parent, at->name, at->ino, now);
  if (std::optional<InodeRow> above = store.inodes.find(at->parent)) {
    above->attr.nlink -= 1;
    store.inodes.update(*above);
  }
  purges.pop(at->ino);
  return true;
}

/// True when everything is gone, and the workspace with it.
bool finish(db::FsStore& store, PurgeStore& purges, uint64_t workspace) {
  const std::optional<db::Usage> usage = store.workspaces.usage(workspace);
  const bool alone = !usage || usage->inodes <= 1;
  if (!alone || purges.keeps_anything(workspace)) return false;
  if (const std::optional<InodeNo> root = store.workspaces.root(workspace)) {
    db::DirectorySettings(store.txn).forget(*root);
    purges.pop(*root);
    store.inodes.erase(*root);
  }
  purges.erase_workspace(workspace);
  purges.erase(workspace);
  return true;
}

enum class Outcome { more, waiting, done };

}  // namespace

TreePurger::TreePurger(db::Database& database, db::AccountStore& audit, Executor& executor,
                       const Clock& clock)
    : database_(database),
      audit_(audit),
      executor_(executor),
      clock_(clock),
      duty_("purger", kPurgePeriod, [this] { return round(); }) {}

Task<Result<PurgeRow>> TreePurger::purge_team(uint64_t team) {
  const int64_t now = clock_.now_ns();
  const Result<PurgeRow> begun =
      co_await database_.write([team, now](db::Txn& txn) { return begin_team(txn, team, now); });
  if (begun.ok()) duty_.wake_within(Duration::zero());
  co_return begun;
}

Task<Result<PurgeRow>> TreePurger::purge_user(UserId user, bool with_files) {
  const int64_t now = clock_.now_ns();
  const Result<PurgeRow> begun = co_await database_.write(
      [=](db::Txn& txn) { return begin_user(txn, user, with_files, now); });
  if (begun.ok()) duty_.wake_within(Duration::zero());
  co_return begun;
}

Task<Result<std::vector<PurgeRow>>> TreePurger::list() {
  auto body = [](db::Txn& txn) -> Result<std::vector<PurgeRow>> { return PurgeStore(txn).all(); };
  co_return co_await executor_.run([&] { return database_.read(body); });
}

Task<Result<void>> TreePurger::round() {
  ASTER_CO_TRY(const std::vector<PurgeRow> purges, co_await list());
  for (const PurgeRow& purge : purges) ASTER_CO_TRY(co_await work_on(purge));
  co_return ok();
}

Task<Result<void>> TreePurger::work_on(const PurgeRow& purge) {
  while (!stopping_) {
    const int64_t now = clock_.now_ns();
    const Result<Outcome> step = co_await database_.write(
        [workspace = purge.workspace, now](db::Txn& txn) -> Result<Outcome> {
          db::FsStore store(txn);
          PurgeStore purges(txn);
          if (purges.doom_kept(workspace, kPurgeStep) > 0) return Outcome::more;
          if (remove_some(store, purges, workspace, now)) return Outcome::more;
          return finish(store, purges, workspace) ? Outcome::done : Outcome::waiting;
        });
    if (!step.ok()) co_return step.error();
    if (*step == Outcome::more) continue;
    if (*step == Outcome::done) {
      const bool user = purge.name.starts_with(kUserMark);
      ASTER_LOG(info, "tree_purged", {"name", purge.name}, {"workspace", purge.workspace});
      std::string name = purge.name.substr(user ? kUserMark.size() : 0);
      std::string action = user ? "user.purged" : "team.purged";
      ASTER_CO_TRY(co_await audit_.audit(UserId(), std::move(action), std::move(name)));
    }
    co_return ok();
  }
  co_return ok();
}

}  // namespace aster::primary
