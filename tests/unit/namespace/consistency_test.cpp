#include "server/db/consistency.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>

#include "server/db/backup.h"
#include "server/db/kept_store.h"
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
    return *run_blocking(database_->write([this](db::Txn& txn) -> Result<uint64_t> {
      return db::repair_consistency(txn, clock_.now_ns());
    }));
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
        "INSERT INTO directory_settings VALUES (999, 'user.aster.trash', 'off')",
        "INSERT INTO holds VALUES (999, 1)", "INSERT INTO orphans VALUES (999, 1)"}) {
    run(damage);
  }
  EXPECT_EQ(rules().size(), 9u);
  EXPECT_GT(repair(), 9u);
  EXPECT_EQ(rules(), std::vector<std::string>());
  EXPECT_EQ(attr(file_).nlink, 2u);
  EXPECT_EQ(attr(folder_).nlink, 3u);
  EXPECT_EQ(content(file_).size(), 300'001u);
  run("DELETE FROM dirents WHERE ino=" + file());
  EXPECT_EQ(repair(), 0u) << "an inode without name is nobody's to guess";
  EXPECT_EQ(rules().size(), 2u);
}

TEST_F(Consistency, repair_under_a_held_backup_keeps_the_object) {
  run("UPDATE objects SET refs=refs+1");
  ASSERT_TRUE(call<fs::Removed>(fs::Unlink{root_, "second"}).ok());
  ASSERT_TRUE(call<fs::Removed>(fs::Unlink{folder_, "file"}).ok());
  clock_.advance(options_.orphan_grace);
  run_duties();
  // As if the damage had happened on the way: nothing refers to the objects, and the last that is
  // written of them is old.
  ASSERT_EQ(sql<int>("SELECT count(*) FROM objects WHERE refs=1 AND state=1"), 2);
  clock_.advance(options_.object_grace * 2);
  ASSERT_TRUE(
      db::back_up({dir_ / "aster.db", dir_ / "copy", std::chrono::hours(100)}, clock_).ok());
  clock_.advance(std::chrono::hours(1));
  EXPECT_EQ(repair(), 2u);
  run_duties();
  clock_.advance(options_.object_grace * 2);
  run_duties();
  EXPECT_EQ(backends_.count(), 2u) << "the backup is still held";
  clock_.advance(std::chrono::hours(100));
  run_duties();
  EXPECT_EQ(backends_.count(), 0u);
}

TEST_F(Consistency, repair_leaves_objects_their_time) {
  run("UPDATE objects SET since=0, refs=0");
  run("DELETE FROM extents WHERE offset>0");
  const size_t objects = backends_.count();
  EXPECT_GT(repair(), 0u);
  EXPECT_EQ(sql<int>("SELECT count(*) FROM objects WHERE since<>0"), 0)
      << "neither a row that counted right nor one that is named again begins anew";
  run("UPDATE objects SET refs=5");
  EXPECT_GT(repair(), 0u);
  run_duties();
  EXPECT_EQ(backends_.count(), objects);
  clock_.advance(options_.object_grace);
  run_duties();
  EXPECT_EQ(backends_.count(), 1u) << "what nothing names goes after its grace";
}

/// With something in the trash and a version of `file_`.
class KeptConsistency : public Consistency {
 protected:
  void SetUp() override {
    options_.keep.trash_age = std::chrono::hours(24 * 30);
    options_.keep.versions = 3;
    Consistency::SetUp();
    deleted_ = make(root_, "deleted").ino;
    ASSERT_TRUE(write(deleted_, 0, "in the trash").ok());
    clock_.advance(std::chrono::hours(1));
    ASSERT_TRUE(call<fs::Removed>(fs::Unlink{root_, "deleted"}).ok());
    ASSERT_TRUE(write(file_, 0, "newer").ok());
    ASSERT_EQ(of_kind(db::KeptKind::trash), 1);
    ASSERT_EQ(of_kind(db::KeptKind::version), 1);
    ASSERT_EQ(rules(), std::vector<std::string>());
  }
  int of_kind(db::KeptKind kind) {
    return *database_->read([kind](db::Txn& txn) -> Result<int> {
      db::Query q = txn.query("SELECT count(*) FROM kept WHERE kind=?1", kind);
      return q.next() ? static_cast<int>(q.int64(0)) : -1;
    });
  }
  bool breaks(const std::string& rule) {
    const std::vector<std::string> found = rules();
    return std::find(found.begin(), found.end(), rule) != found.end();
  }
  std::string deleted() const { return std::to_string(deleted_.value); }
  void expect_only(const std::string& rule) {
    EXPECT_EQ(rules(), std::vector<std::string>({rule}));
  }
  /// What is left of the trash is whole, whatever the duties do now.
  void expect_trash_whole() {
    clock_.advance(options_.object_grace + options_.orphan_grace);
    run_duties();
    clock_.advance(options_.object_grace + options_.orphan_grace);
    run_duties();
    EXPECT_EQ(content(deleted_), "in the trash");
  }

  InodeNo deleted_;
};

TEST_F(KeptConsistency, versions_of_a_lost_file_are_only_reported) {
  const auto version = InodeNo(sql<uint64_t>("SELECT ino FROM kept WHERE kind=1"));
  const std::string before = content(version);
  run("DELETE FROM inodes WHERE ino=" + file());
  EXPECT_TRUE(breaks("version of a file that is gone"));
  repair();
  EXPECT_EQ(of_kind(db::KeptKind::doomed), 0);
  clock_.advance(options_.object_grace + options_.orphan_grace);
  run_duties();
  clock_.advance(options_.object_grace + options_.orphan_grace);
  run_duties();
  EXPECT_EQ(content(version), before) << "the last copy of somebody's file";
  EXPECT_TRUE(breaks("version of a file that is gone"));
}

TEST_F(KeptConsistency, what_is_kept_under_a_name_loses_its_entry_only) {
  run("INSERT INTO dirents SELECT " + std::to_string(root_.value) + ", CAST('back' AS BLOB), " +
      deleted() + ", 77");
  run("UPDATE inodes SET nlink=1 WHERE ino=" + deleted());
  repair();
  EXPECT_EQ(rules(), std::vector<std::string>());
  EXPECT_EQ(of_kind(db::KeptKind::trash), 0);
  EXPECT_EQ(lookup(root_, "back")->ino, deleted_);
  expect_trash_whole();
}

TEST_F(KeptConsistency, an_entry_of_something_that_is_gone_goes) {
  run("INSERT INTO kept(ino, workspace, kind, parent, name, at, bytes) "
      "VALUES (999, 1, 0, 1, CAST('x' AS BLOB), 1, 5)");
  expect_only("something kept that has a name or is gone");
  EXPECT_EQ(repair(), 1u);
  EXPECT_EQ(rules(), std::vector<std::string>());
  expect_trash_whole();
}

TEST_F(KeptConsistency, what_is_kept_is_not_freed_as_something_open) {
  run("INSERT INTO orphans VALUES (" + deleted() + ", 1)");
  expect_only("something kept that is also about to be freed");
  EXPECT_EQ(repair(), 1u);
  EXPECT_EQ(rules(), std::vector<std::string>());
  EXPECT_EQ(of_kind(db::KeptKind::trash), 1);
  expect_trash_whole();
}

TEST_F(KeptConsistency, kept_bytes_are_counted_anew) {
  run("UPDATE kept SET bytes=bytes+1");
  expect_only("something kept whose bytes are counted wrong");
  EXPECT_EQ(repair(), 2u);
  EXPECT_EQ(rules(), std::vector<std::string>());
  expect_trash_whole();
}

}  // namespace
}  // namespace aster::primary
