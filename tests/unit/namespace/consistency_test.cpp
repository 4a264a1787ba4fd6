#include "server/db/consistency.h"

#include <gtest/gtest.h>

#include <list>

#include "server/db/backup.h"
#include "tests/support/namespace_fixture.h"

namespace aster::primary {
namespace {

class Consistency : public testing::NamespaceFixture {
 protected:
  void SetUp() override {
    NamespaceFixture::SetUp();
    folder_ = make(root_, "folder", fs::FileType::directory).ino;
    make(folder_, "below", fs::FileType::directory);
    file_ = make(folder_, "file").ino;
    ASSERT_TRUE(write(file_, 0, std::string(200'000, 'x')).ok());
    ASSERT_TRUE(write(file_, 300'000, "y").ok());
    ASSERT_TRUE(call<fs::Attr>(fs::Link{file_, root_, "second"}).ok());
    make(root_, "gone");
    ASSERT_TRUE(call<fs::Removed>(fs::Unlink{root_, "gone"}).ok());
  }
  std::vector<std::string> rules() {
    const auto found = database_->read([](db::Txn& txn) -> Result<std::vector<db::Finding>> {
      return db::check_consistency(txn);
    });
    EXPECT_TRUE(found.ok()) << found.error().message();
    std::vector<std::string> rules;
    for (const db::Finding& finding : *found) rules.push_back(finding.rule);
    return rules;
  }
  void run(const std::string& sql) {
    // A literal for the statement cache, which outlives this call.
    static std::list<std::string> statements;
    const std::string& kept = statements.emplace_back(sql);
    const auto done = run_blocking(database_->write([&](db::Txn& txn) -> Result<void> {
      txn.exec(kept);
      return ok();
    }));
    ASSERT_TRUE(done.ok()) << done.error().message();
  }
  uint64_t repair() {
    return *run_blocking(database_->write(
        [](db::Txn& txn) -> Result<uint64_t> { return db::repair_consistency(txn); }));
  }
  std::string file() const { return std::to_string(file_.value); }

  InodeNo folder_;
  InodeNo file_;
};

TEST_F(Consistency, holds_after_ordinary_work) {
  EXPECT_EQ(rules(), std::vector<std::string>());
  clock_.advance(options_.orphan_grace);
  run_duties();
  EXPECT_EQ(rules(), std::vector<std::string>());
  EXPECT_EQ(repair(), 0u);
}

TEST_F(Consistency, holds_while_a_file_is_composed) {
  const InodeNo parts = make(root_, "parts").ino;
  ASSERT_TRUE(write(parts, 0, std::string(kBlockSize, 'a')).ok());
  ASSERT_TRUE(write(parts, kBlockSize, "tail", true).ok());
  backends_.knobs.lock()->compose_error = fail(Errc::unavailable, "connection lost");
  clock_.advance(options_.compose_delay);
  run_duties();
  ASSERT_EQ(sql<int>("SELECT count(*) FROM compose_jobs"), 1);
  EXPECT_EQ(rules(), std::vector<std::string>());
  run("UPDATE workspaces SET pending_objects=1");
  EXPECT_GT(repair(), 0u);
  EXPECT_EQ(rules(), std::vector<std::string>());
}

TEST_F(Consistency, every_kind_of_damage_is_found) {
  const std::vector<std::pair<std::string, std::string>> damages = {
      {"DELETE FROM inodes WHERE ino=" + file(), "name without inode"},
      {"UPDATE dirents SET parent=" + file() + " WHERE name=CAST('second' AS BLOB)",
       "name in something that is no directory"},
      {"DELETE FROM dirents WHERE ino=" + file(), "inode without name that nobody holds"},
      {"UPDATE inodes SET parent=999 WHERE ino=" + std::to_string(folder_.value),
       "directory with several names or another parent than its name's"},
      {"DELETE FROM dirents WHERE ino=" + std::to_string(folder_.value),
       "directory that no way leads to"},
      {"UPDATE workspaces SET root=" + file(), "workspace without root directory"},
      {"UPDATE extents SET length=300001 WHERE offset=0", "extents that overlap"},
      {"UPDATE inodes SET type=2 WHERE ino=" + file(), "extent of something that is no file"},
      {"UPDATE inodes SET size=1 WHERE ino=" + file(), "extent beyond the end of its file"},
      {"UPDATE objects SET state=2", "extent whose object is not there or not live"},
      {"UPDATE objects SET size=1", "extent beyond the end of its object"},
      {"DELETE FROM object_checksums", "object without all its checksums"},
  };
  for (const auto& [damage, rule] : damages) {
    SCOPED_TRACE(damage);
    ASSERT_TRUE(
        db::back_up({dir_ / "aster.db", dir_ / "sound", std::chrono::hours(1)}, clock_).ok());
    run(damage);
    const std::vector<std::string> found = rules();
    EXPECT_NE(std::find(found.begin(), found.end(), rule), found.end());
    service_.reset();
    database_.reset();
    ASSERT_TRUE(db::restore({dir_ / "sound", dir_ / "aster.db", true}, clock_).ok());
    std::filesystem::remove(dir_ / "sound");
    start();
    ASSERT_EQ(rules(), std::vector<std::string>());
    clock_.advance(std::chrono::seconds(1));
  }
}

TEST_F(Consistency, counters_are_repaired_and_nothing_else) {
  for (const char* damage :
       {"UPDATE objects SET refs=7", "UPDATE inodes SET nlink=9, allocated=5",
        "UPDATE workspaces SET inodes=1, bytes=1, pending_objects=1",
        "INSERT INTO xattrs VALUES (999, CAST('user.a' AS BLOB), x'00')",
        "INSERT INTO holds VALUES (999, 1)", "INSERT INTO orphans VALUES (999, 1)"}) {
    run(damage);
  }
  EXPECT_EQ(rules().size(), 8u);
  EXPECT_GT(repair(), 8u);
  EXPECT_EQ(rules(), std::vector<std::string>());
  EXPECT_EQ(attr(file_).nlink, 2u);
  EXPECT_EQ(attr(folder_).nlink, 3u);
  EXPECT_EQ(content(file_).size(), 300'001u);
  run("DELETE FROM dirents WHERE ino=" + file());
  EXPECT_EQ(repair(), 0u) << "an inode without name is nobody's to guess";
  EXPECT_EQ(rules().size(), 2u);
}

}  // namespace
}  // namespace aster::primary
