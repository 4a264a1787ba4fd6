#include <gtest/gtest.h>

#include "server/db/consistency.h"
#include "server/db/team_store.h"
#include "server/primary/tree_purger.h"
#include "server/primary/tree_quotas.h"
#include "tests/support/namespace_fixture.h"

namespace aster::primary {
namespace {

using fs::Attr;

class TreePurge : public testing::NamespaceFixture {
 protected:
  void SetUp() override {
    options_.keep.trash_age = std::chrono::hours(1);
    options_.keep.trash_min_age = std::chrono::seconds(0);
    options_.keep.versions = 5;
    options_.keep.version_interval = std::chrono::seconds(0);
    NamespaceFixture::SetUp();
    open_purger();
    change(
        "INSERT INTO users(name, password_hash, role, status, workspace, created_at, updated_at) "
        "VALUES ('ann', '', 'user', 'active', 0, 0, 0)");
    const auto made = run_blocking(service_->create_workspace("team:crew"));
    ASSERT_TRUE(made.ok());
    const auto team = run_blocking(teams_->create({.name = "crew", .workspace = *made},
                                                  UserId(sql<uint64_t>("SELECT id FROM users"))));
    ASSERT_TRUE(team.ok()) << team.error().message();
    team_ = team->id;
    caller_.workspace = *made;
    own_root_ = root_;
    root_ = *service_->root_of(*made);
  }
  void open_purger() {
    accounts_ = std::make_unique<db::AccountStore>(*database_, executor_, clock_);
    teams_ = std::make_unique<db::TeamStore>(*database_, executor_, clock_);
    purger_ = std::make_unique<TreePurger>(*database_, *accounts_, executor_, clock_);
  }
  void TearDown() override {
    purger_.reset();
    teams_.reset();
    accounts_.reset();
  }
  void change(std::string_view statement) {
    const auto done = run_blocking(database_->write([&](db::Txn& txn) -> Result<void> {
      txn.exec(statement);
      return ok();
    }));
    ASSERT_TRUE(done.ok()) << done.error().message();
  }
  void archive() {
    db::TeamChange change;
    change.archived = true;
    ASSERT_TRUE(run_blocking(teams_->update(team_, std::move(change))).ok());
  }
  void expect_consistent() {
    const auto found = database_->read([](db::Txn& txn) -> Result<std::vector<db::Finding>> {
      return db::check_consistency(txn);
    });
    ASSERT_TRUE(found.ok()) << found.error().message();
    for (const db::Finding& finding : *found) {
      ADD_FAILURE() << finding.rule << ": " << finding.examples.front();
    }
  }
  void fill() {
    const InodeNo deep = make_dir(make_dir(make_dir(root_, "a").ino, "b").ino, "c").ino;
    const InodeNo file = make(deep, "f").ino;
    ASSERT_TRUE(write(file, 0, "first").ok());
    clock_.advance(std::chrono::seconds(1));
    ASSERT_TRUE(write(file, 0, "again").ok());
    fs::Link link;
    link.ino = file;
    link.parent = root_;
    link.name = "link";
    ASSERT_TRUE(call<Attr>(link).ok());
    ASSERT_TRUE(write(make(deep, "deleted").ino, 0, "deleted").ok());
    clock_.advance(std::chrono::seconds(1));
    ASSERT_TRUE(call<fs::Removed>(fs::Unlink{deep, "deleted"}).ok());
    for (int i = 0; i < 600; ++i) make_dir(root_, "d" + std::to_string(i));
    make(root_, "s", fs::FileType::symlink);
  }
  /// Rounds of both duties, an hour after each other.
  void rounds(int count) {
    for (int i = 0; i < count; ++i) {
      ASSERT_TRUE(run_blocking(purger_->round()).ok());
      expect_consistent();
      clock_.advance(std::chrono::hours(1));
      run_duties();
    }
  }

  std::unique_ptr<db::AccountStore> accounts_;
  std::unique_ptr<db::TeamStore> teams_;
  std::unique_ptr<TreePurger> purger_;
  uint64_t team_ = 0;
  InodeNo own_root_;
};

TEST_F(TreePurge, takes_everything_of_the_team_and_nothing_else) {
  fill();
  TreeQuotas quotas(*database_, executor_, clock_, [](uint64_t) { return nullptr; });
  ASSERT_TRUE(run_blocking(quotas.set({caller_.workspace, "/a", 1000})).ok());
  const Caller team = caller_;
  caller_.workspace = sql<uint64_t>("SELECT min(id) FROM workspaces");
  ASSERT_TRUE(write(make(own_root_, "mine").ino, 0, "mine").ok());
  EXPECT_TRUE(run_blocking(purger_->purge_team(team_)).failed_with(Errc::precondition_failed))
      << "it is not archived";
  archive();
  const auto begun = run_blocking(purger_->purge_team(team_));
  ASSERT_TRUE(begun.ok()) << begun.error().message();
  EXPECT_EQ(begun->inodes, 606);
  EXPECT_EQ(begun->bytes, 5);
  EXPECT_EQ(run_blocking(purger_->list())->size(), 1u);
  EXPECT_TRUE(run_blocking(teams_->find(team_)).failed_with(Errc::not_found));
  rounds(8);
  EXPECT_EQ(run_blocking(purger_->list())->size(), 0u);
  EXPECT_EQ(sql<int>("SELECT count(*) FROM workspaces"), 1);
  EXPECT_EQ(sql<int>("SELECT count(*) FROM inodes"), 2) << "the other tree";
  EXPECT_EQ(sql<int>("SELECT count(*) FROM kept"), 0);
  EXPECT_EQ(sql<int>("SELECT count(*) FROM extents"), 1);
  EXPECT_EQ(sql<int>("SELECT count(*) FROM objects"), 1);
  ASSERT_TRUE(run_blocking(quotas.settle()).ok());
  EXPECT_EQ(sql<int>("SELECT count(*) FROM quota_trees"), 0);
  EXPECT_EQ(sql<int>("SELECT count(*) FROM admin_audit WHERE action='team.purged'"), 1);
  EXPECT_EQ(content(lookup(own_root_, "mine")->ino), "mine");
  EXPECT_TRUE(call_as<Attr>(team, fs::GetAttr{root_}).failed_with(Errc::stale_handle));
  EXPECT_TRUE(run_blocking(purger_->purge_team(team_)).failed_with(Errc::not_found));
}

TEST_F(TreePurge, goes_on_after_a_restart) {
  fill();
  archive();
  ASSERT_TRUE(run_blocking(purger_->purge_team(team_)).ok());
  ASSERT_TRUE(run_blocking(purger_->round()).ok());
  TearDown();
  restart();
  open_purger();
  rounds(8);
  EXPECT_EQ(run_blocking(purger_->list())->size(), 0u);
  EXPECT_EQ(sql<int>("SELECT count(*) FROM inodes"), 1);
}

TEST_F(TreePurge, takes_the_tree_of_a_removed_user) {
  ASSERT_TRUE(write(make(root_, "f").ino, 0, "crew").ok());
  caller_.workspace = sql<uint64_t>("SELECT min(id) FROM workspaces");
  root_ = own_root_;
  fill();
  change("UPDATE users SET workspace=(SELECT min(id) FROM workspaces)");
  const UserId ann(sql<uint64_t>("SELECT id FROM users"));
  EXPECT_TRUE(run_blocking(purger_->purge_user(ann, true)).failed_with(Errc::precondition_failed))
      << "the last owner of the team";
  change("DELETE FROM team_members");
  EXPECT_TRUE(run_blocking(purger_->purge_user(ann, false)).failed_with(Errc::precondition_failed))
      << "there are files";
  const auto begun = run_blocking(purger_->purge_user(ann, true));
  ASSERT_TRUE(begun.ok()) << begun.error().message();
  EXPECT_EQ(begun->name, "user:ann");
  EXPECT_EQ(begun->inodes, 606);
  rounds(8);
  EXPECT_EQ(run_blocking(purger_->list())->size(), 0u);
  EXPECT_EQ(sql<int>("SELECT count(*) FROM users"), 0);
  EXPECT_EQ(sql<int>("SELECT count(*) FROM workspaces"), 1);
  EXPECT_EQ(sql<int>("SELECT count(*) FROM inodes"), 2) << "the tree of the team";
  EXPECT_EQ(sql<int>("SELECT count(*) FROM kept"), 0);
  EXPECT_EQ(sql<int>("SELECT count(*) FROM objects"), 1);
  EXPECT_EQ(sql<int>("SELECT count(*) FROM admin_audit WHERE action='user.purged' "
                     "AND subject='ann'"),
            1);
}

}  // namespace
}  // namespace aster::primary
