#include "server/primary/policy_groups.h"

#include <set>

#include "server/db/migration_store.h"
#include "server/db/workspace_store.h"
#include "tests/unit/primary/admin_fixture.h"

namespace aster::primary {
namespace {

class PolicyGroupsTest : public AdminFixture {
 protected:
  PolicyGroupsTest() {
    for (const char* name : {"small", "large", "other"}) {
      db::PolicyRow row;
      row.name = name;
      row.driver = "local";
      row.chunk_size = 1 << 20;
      auto made = run_blocking(policy_store->create_policy(row));
      if (!made.ok()) ADD_FAILURE() << made.error().message();
    }
    EXPECT_TRUE(run_blocking(groups.load()).ok());
  }
  Result<std::optional<PolicyId>> choose(uint64_t size, uint64_t workspace = 1, uint64_t user = 1) {
    return groups.choose({UserId(user), workspace, size, {}}, usable);
  }
  uint64_t chosen(uint64_t size, uint64_t workspace = 1, uint64_t user = 1) {
    const auto policy = choose(size, workspace, user);
    EXPECT_TRUE(policy.ok()) << policy.error().message();
    return policy.ok() && *policy ? (*policy)->value : 0;
  }
  uint64_t create(const std::string& body) {
    const auto made = run_blocking(groups.create(body));
    EXPECT_TRUE(made.ok()) << made.error().message();
    return made.ok() ? made->id : 0;
  }

  db::PolicyGroupStore store{*database, executor, clock};
  PolicyGroups groups{store, executor};
  std::set<uint64_t> away;
  PolicyGroups::Usable usable = [this](PolicyId id) -> Result<void> {
    if (away.contains(id.value)) return fail(Errc::precondition_failed, "node is disabled");
    return ok();
  };
};

constexpr char kBySize[] = R"({"name": "by size", "is_default": true, "items": [
  {"policy_id": 2, "priority": 20, "min_file_size": 1000},
  {"policy_id": 1, "priority": 10, "max_file_size": 1000}]})";

TEST_F(PolicyGroupsTest, without_groups_nothing_is_chosen) {
  EXPECT_EQ(chosen(5), 0u);
}

TEST_F(PolicyGroupsTest, windows_hold_their_lower_end_only) {
  create(kBySize);
  EXPECT_EQ(chosen(0), 1u);
  EXPECT_EQ(chosen(999), 1u);
  EXPECT_EQ(chosen(1000), 2u);
  EXPECT_EQ(chosen(UINT64_MAX / 2), 2u);
}

TEST_F(PolicyGroupsTest, the_lowest_priority_that_is_usable_counts) {
  create(R"({"name": "g", "is_default": true, "items": [
    {"policy_id": 1, "priority": 1, "is_enabled": false},
    {"policy_id": 2, "priority": 2}, {"policy_id": 3, "priority": 3}]})");
  EXPECT_EQ(chosen(5), 2u);
  away.insert(2);
  EXPECT_EQ(chosen(5), 3u);
  away.insert(3);
  const auto none = choose(5);
  ASSERT_TRUE(none.failed_with(Errc::precondition_failed));
  EXPECT_NE(none.error().context.find("node is disabled"), std::string::npos);
}

TEST_F(PolicyGroupsTest, a_size_that_no_rule_takes_is_refused) {
  create(R"({"name": "g", "is_default": true, "items": [
    {"policy_id": 1, "priority": 1, "max_file_size": 10}]})");
  away.insert(1);  // says nothing about a size that it does not take
  const auto none = choose(10);
  ASSERT_TRUE(none.failed_with(Errc::bad_request));
  EXPECT_NE(none.error().context.find("group g takes a file of 10 bytes"), std::string::npos);
}

TEST_F(PolicyGroupsTest, own_groups_come_before_the_default_one) {
  create(kBySize);
  const uint64_t own = create(R"({"name": "own", "items": [{"policy_id": 3, "priority": 1}]})");
  const uint64_t team = create(R"({"name": "team", "items": [{"policy_id": 2, "priority": 1}]})");
  db::UserRow row;
  row.name = "ann";
  row.password_hash = "x";
  auto user = run_blocking(accounts_store->create_user(row, false));
  ASSERT_TRUE(user.ok()) << user.error().message();
  const uint64_t ann = user->id.value;
  ASSERT_TRUE(run_blocking(database->write([](db::Txn& txn) -> Result<void> {
                db::WorkspaceStore(txn).insert("team", 0);
                return ok();
              })).ok());
  ASSERT_TRUE(run_blocking(groups.assign_user(ann, own)).ok());
  EXPECT_EQ(chosen(5, 7, ann), 3u);
  EXPECT_EQ(chosen(5, 7, ann + 1), 1u);
  ASSERT_TRUE(run_blocking(groups.assign_workspace(1, team)).ok());
  EXPECT_EQ(chosen(5, 1, ann), 2u) << "that of the tree comes first";
  EXPECT_TRUE(run_blocking(groups.remove(own)).failed_with(Errc::precondition_failed));
  ASSERT_TRUE(run_blocking(groups.update(own, R"({"is_enabled": false})")).ok());
  EXPECT_EQ(chosen(5, 7, ann), 1u) << "a disabled group is none";
  ASSERT_TRUE(run_blocking(groups.assign_user(ann, 0)).ok());
  EXPECT_TRUE(run_blocking(groups.remove(own)).ok());
  EXPECT_TRUE(run_blocking(groups.assign_user(99, team)).failed_with(Errc::not_found));
  EXPECT_TRUE(run_blocking(groups.assign_user(ann, 99)).failed_with(Errc::not_found));
  EXPECT_TRUE(run_blocking(groups.assign_workspace(99, team)).failed_with(Errc::not_found));
}

TEST_F(PolicyGroupsTest, one_default_at_a_time_and_all_survives_a_restart) {
  const uint64_t first = create(kBySize);
  const uint64_t second = create(R"({"name": "second", "is_default": true})");
  EXPECT_FALSE(groups.find(first)->is_default);
  PolicyGroups again(store, executor);
  ASSERT_TRUE(run_blocking(again.load()).ok());
  EXPECT_TRUE(again.find(second)->is_default);
  ASSERT_EQ(again.find(first)->rules.size(), 2u);
  EXPECT_EQ(again.find(first)->rules[0].policy, PolicyId(1)) << "by priority";
}

TEST_F(PolicyGroupsTest, bad_bodies_are_named) {
  const auto refused = [&](const char* body) {
    const auto made = run_blocking(groups.create(body));
    return made.failed_with(Errc::bad_request) ? made.error().context : "accepted";
  };
  EXPECT_NE(refused(R"({})").find("name"), std::string::npos);
  EXPECT_NE(refused(R"({"name": "x", "items": 3})").find("items"), std::string::npos);
  EXPECT_NE(
      refused(R"({"name": "x", "items": [{"policy_id": 1, "priority": 0}]})").find("priority"),
      std::string::npos);
  EXPECT_NE(refused(R"({"name": "x", "items": [{"policy_id": 1, "priority": 1,
                       "min_file_size": 5, "max_file_size": 5}]})")
                .find("max_file_size"),
            std::string::npos);
  EXPECT_NE(refused(R"({"name": "x", "items": [{"policy_id": 1, "priority": 1},
                       {"policy_id": 2, "priority": 1}]})")
                .find("priority 1"),
            std::string::npos);
  EXPECT_TRUE(run_blocking(groups.create(R"({"name": "x", "items": [
                {"policy_id": 9, "priority": 1}]})"))
                  .failed_with(Errc::not_found));
  create(kBySize);
  EXPECT_TRUE(run_blocking(groups.create(kBySize)).failed_with(Errc::conflict));
  EXPECT_TRUE(run_blocking(policy_store->remove_policy(PolicyId(2)))
                  .failed_with(Errc::precondition_failed));
}

TEST_F(PolicyGroupsTest, the_destination_of_a_migration_is_not_removed) {
  const auto set = [this](db::MigrationState state) {
    const auto done = run_blocking(database->write([=](db::Txn& txn) -> Result<void> {
      db::MigrationStore jobs(txn);
      db::MigrationRow row{.workspace = 1, .root = InodeNo(1), .path = "/", .policy = PolicyId(3)};
      jobs.set_state(jobs.insert(row), state, "", 1);
      return ok();
    }));
    EXPECT_TRUE(done.ok());
  };
  set(db::MigrationState::done);
  set(db::MigrationState::moving);
  const auto refused = run_blocking(policy_store->remove_policy(PolicyId(3)));
  ASSERT_TRUE(refused.failed_with(Errc::precondition_failed));
  EXPECT_NE(refused.error().context.find("migration"), std::string::npos);
  const auto ended = run_blocking(database->write([](db::Txn& txn) -> Result<void> {
    db::MigrationStore(txn).set_state(2, db::MigrationState::done, "", 1);
    return ok();
  }));
  EXPECT_TRUE(ended.ok());
  EXPECT_TRUE(run_blocking(policy_store->remove_policy(PolicyId(3))).ok());
}

}  // namespace
}  // namespace aster::primary
