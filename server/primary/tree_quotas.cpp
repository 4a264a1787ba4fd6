#include "server/primary/tree_quotas.h"

#include "protocol/base/executor.h"
#include "server/db/database.h"
#include "server/primary/resolve_path.h"
#include "server/primary/tree_charges.h"

namespace aster::primary {
namespace {

using db::TreeQuota;
using db::TreeQuotaStore;
using db::TreeState;

/// Inodes per transaction: a few milliseconds of the writer's time.
constexpr size_t kSettleStep = 500;
/// Before the answer: some 10,000 inodes.
constexpr int kStepsAtOnce = 20;
constexpr std::chrono::minutes kSettlePeriod{1};

Result<void> check_settled(TreeQuotaStore& trees, uint64_t workspace) {
  const std::optional<TreeQuota> other = trees.first_unsettled(workspace);
  if (!other) return ok();
  return fail(Errc::precondition_failed,
              "the quota of " + trees.path_of(other->root) + " is still being " +
                  (other->state == TreeState::counting ? "counted" : "removed") +
                  "; try again when that is done ('aster quota list')");
}

Result<void> make_tree(db::FsStore& store, TreeQuotaStore& trees, InodeNo root, int64_t now) {
  const std::optional<db::InodeRow> row = store.inodes.find(root);
  if (!row || row->attr.type != fs::FileType::directory) {
    return fail(Errc::not_directory, "a quota is for a folder");
  }
  ASTER_TRY(check_settled(trees, row->workspace));
  TreeQuota tree;
  tree.root = root;
  tree.workspace = row->workspace;
  tree.parent = trees.tree_of(root);
  tree.created = now;
  trees.insert(tree);
  trees.put_member(root, root);
  trees.push_directory(root, root);
  return ok();
}

void count_some(TreeQuotaStore& trees, const TreeQuota& tree) {
  const std::optional<TreeQuotaStore::Step> at = trees.next_directory(tree.root);
  if (!at) return trees.set_active(tree.root);
  const auto entries = trees.entries(*at, kSettleStep);
  for (const TreeQuotaStore::Entry& entry : entries) count_entry(trees, tree, entry);
  if (entries.size() < kSettleStep) {
    trees.pop_directory(tree.root, at->directory);
  } else {
    trees.move_on(tree.root, {at->directory, entries.back().cookie});
  }
}

TreeQuotas::Shown shown(TreeQuotaStore& trees, TreeQuota tree) {
  std::string path = trees.path_of(tree.root);
  return {std::move(tree), std::move(path)};
}

Result<TreeQuotas::Shown> find_tree(db::Txn& txn, InodeNo root) {
  TreeQuotaStore trees(txn);
  std::optional<TreeQuota> tree = trees.find(root);
  if (!tree) return fail(Errc::not_found, "no quota with id " + std::to_string(root.value));
  return shown(trees, std::move(*tree));
}

}  // namespace

TreeQuotas::TreeQuotas(db::Database& database, Executor& executor, const Clock& clock,
                       CallBack call_back)
    : database_(database),
      executor_(executor),
      clock_(clock),
      call_back_(std::move(call_back)),
      duty_("quotas", kSettlePeriod, [this] { return settle(); }) {}

Task<Result<InodeNo>> TreeQuotas::make(const Wanted& wanted) {
  for (;;) {
    RecallPtr kept;
    const auto body = [&, now = clock_.now_ns()](db::Txn& txn) -> Result<InodeNo> {
      db::FsStore store(txn);
      TreeQuotaStore trees(txn);
      ASTER_TRY(const InodeNo at, resolve_path(store, wanted.workspace, wanted.path));
      const std::optional<TreeQuota> there = trees.find(at);
      if (there && there->state == TreeState::removing) {
        ASTER_TRY(check_settled(trees, wanted.workspace));
      }
      kept = there ? nullptr : call_back_(wanted.workspace);
      if (kept) return at;  // nothing was changed
      if (!there) ASTER_TRY(make_tree(store, trees, at, now));
      trees.set_quota(at, wanted.quota);
      return at;
    };
    const Result<InodeNo> root = co_await database_.write(body);
    if (!kept || !root.ok()) co_return root;
    const bool given = co_await kept->done();
    if (!given) co_return fail(Errc::unavailable, "the server is stopping");
  }
}

Task<Result<TreeQuotas::Shown>> TreeQuotas::set(Wanted wanted) {
  const Result<InodeNo> root = co_await make(wanted);
  if (!root.ok()) co_return root.error();
  ASTER_CO_TRY(co_await begin());
  auto tree = co_await find(*root);
  co_return tree;
}

Task<Result<TreeQuotas::Shown>> TreeQuotas::remove(InodeNo root) {
  const Result<Shown> gone = co_await database_.write([root](db::Txn& txn) -> Result<Shown> {
    TreeQuotaStore trees(txn);
    ASTER_TRY(Shown tree, find_tree(txn, root));
    ASTER_TRY(check_settled(trees, tree.tree.workspace));
    trees.begin_removal(tree.tree);
    return tree;
  });
  if (!gone.ok()) co_return gone.error();
  ASTER_CO_TRY(co_await begin());
  co_return gone;
}

Task<Result<TreeQuotas::Shown>> TreeQuotas::remove_at(uint64_t workspace, std::string path) {
  auto body = [&](db::Txn& txn) -> Result<InodeNo> {
    db::FsStore store(txn);
    ASTER_TRY(const InodeNo root, resolve_path(store, workspace, path));
    if (!TreeQuotaStore(txn).find(root)) return fail(Errc::not_found, path + " has no quota");
    return root;
  };
  ASTER_CO_TRY(const InodeNo root, co_await executor_.run([&] { return database_.read(body); }));
  auto gone = co_await remove(root);
  co_return gone;
}

Task<Result<TreeQuotas::Shown>> TreeQuotas::find(InodeNo root) {
  auto body = [root](db::Txn& txn) { return find_tree(txn, root); };
  co_return co_await executor_.run([&] { return database_.read(body); });
}

Task<Result<TreeQuotas::Page>> TreeQuotas::list(size_t limit, size_t offset) {
  auto body = [=](db::Txn& txn) -> Result<Page> {
    TreeQuotaStore trees(txn);
    Page page;
    page.total = trees.count();
    for (TreeQuota& tree : trees.all(limit, offset)) {
      page.items.push_back(shown(trees, std::move(tree)));
    }
    return page;
  };
  co_return co_await executor_.run([&] { return database_.read(body); });
}

Task<Result<bool>> TreeQuotas::step() {
  const Result<bool> more = co_await database_.write([](db::Txn& txn) -> Result<bool> {
    TreeQuotaStore trees(txn);
    const std::optional<TreeQuota> tree = trees.first_unsettled();
    if (!tree) return false;
    if (tree->state == TreeState::counting) {
      count_some(trees, *tree);
    } else {
      trees.remove_some(*tree, kSettleStep);
    }
    return true;
  });
  co_return more;
}

Task<Result<void>> TreeQuotas::begin() {
  for (int i = 0; i < kStepsAtOnce; ++i) {
    ASTER_CO_TRY(const bool more, co_await step());
    if (!more) co_return ok();
  }
  duty_.wake_within(Duration::zero());
  co_return ok();
}

Task<Result<void>> TreeQuotas::settle() {
  while (!stopping_) {
    ASTER_CO_TRY(const bool more, co_await step());
    if (!more) co_return ok();
  }
  co_return ok();
}

}  // namespace aster::primary
