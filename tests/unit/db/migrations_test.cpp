#include "server/db/migrations.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "server/db/database.h"
#include "server/db/policy_store.h"
#include "tests/support/temp_dir.h"

namespace aster::db {
namespace {

constexpr Migration kOne[] = {{1, "one", "CREATE TABLE one(x INTEGER)"}};
constexpr Migration kTwo[] = {
    {1, "one", "CREATE TABLE one(x INTEGER)"},
    {2, "two", "CREATE TABLE two(x INTEGER); INSERT INTO two VALUES (2)"}};
constexpr Migration kBroken[] = {{1, "one", "CREATE TABLE one(x INTEGER)"},
                                 {2, "two", "CREATE TABLE two(x INTEGER)"},
                                 {3, "three", "CREATE TABLE nonsense"}};

class MigrationsTest : public ::testing::Test {
 protected:
  Result<std::unique_ptr<Database>> open(std::span<const Migration> steps) {
    DatabaseOptions options;
    options.url = "sqlite://" + path();
    options.migrations = steps;
    return Database::open(options, executor_);
  }
  std::string path() const { return (dir_ / "m.db").string(); }
  static bool has_table(Database& db, std::string name) {
    const auto found = db.read([&](Txn& txn) -> Result<bool> {
      return txn.query("SELECT 1 FROM sqlite_master WHERE name=?1", name).next();
    });
    return found.ok() && *found;
  }

  testing::TempDir dir_;
  Executor executor_{{"migrations", 1}};
};

TEST_F(MigrationsTest, applies_only_missing_steps) {
  ASSERT_TRUE(open(kOne).ok());
  auto db = open(kTwo);
  ASSERT_TRUE(db.ok()) << db.error().message();
  EXPECT_TRUE(has_table(**db, "two"));
  db = fail(Errc::unavailable);
  EXPECT_TRUE(open(kTwo).ok());
}

TEST_F(MigrationsTest, refuses_a_newer_database) {
  ASSERT_TRUE(open(kTwo).ok());
  const auto db = open(kOne);
  ASSERT_TRUE(db.failed_with(Errc::precondition_failed));
  EXPECT_NE(db.error().context.find("newer aster_drive"), std::string::npos);
}

TEST_F(MigrationsTest, failed_step_changes_nothing) {
  ASSERT_TRUE(open(kOne).ok());
  EXPECT_FALSE(open(kBroken).ok());
  auto db = open(kOne);
  ASSERT_TRUE(db.ok());
  EXPECT_FALSE(has_table(**db, "two"));
}

TEST_F(MigrationsTest, whole_history_applies_and_its_numbers_ascend) {
  int last = 0;
  for (const Migration& step : all_migrations()) {
    EXPECT_GT(step.number, last) << step.name;
    last = step.number;
  }
  const auto db = open(all_migrations());
  EXPECT_TRUE(db.ok()) << db.error().message();
}

TEST_F(MigrationsTest, policies_from_before_buckets_stay_as_they_were) {
  size_t before = 0;
  while (all_migrations()[before].number < 14) ++before;
  {
    const auto db = open(all_migrations().first(before));
    ASSERT_TRUE(db.ok()) << db.error().message();
    const Result<void> added = run_blocking((*db)->write([](Txn& txn) -> Result<void> {
      txn.exec("INSERT INTO policies VALUES(1,'old','local','p',NULL,'',0,131072,1,'[]','{}',1,1)");
      return ok();
    }));
    ASSERT_TRUE(added.ok()) << added.error().message();
  }
  const auto db = open(all_migrations());
  ASSERT_TRUE(db.ok()) << db.error().message();
  const SystemClock clock;
  PolicyStore store(**db, executor_, clock);
  const auto rows = run_blocking(store.policies());
  ASSERT_TRUE(rows.ok()) << rows.error().message();
  ASSERT_EQ(rows->size(), 1u);
  EXPECT_EQ(rows->at(0).name, "old");
  EXPECT_EQ(rows->at(0).s3, BucketAccess());
}

TEST_F(MigrationsTest, file_is_private_to_its_user) {
  ASSERT_TRUE(open(kOne).ok());
  struct stat st {};
  ASSERT_EQ(::stat(path().c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
}

TEST_F(MigrationsTest, garbage_is_not_taken_for_a_database) {
  testing::write_file(dir_ / "m.db", std::string(8192, 'x'));
  EXPECT_TRUE(open(kOne).failed_with(Errc::corrupt));
}

}  // namespace
}  // namespace aster::db
