#pragma once

#include <gtest/gtest.h>

#include "server/db/consistency.h"
#include "tests/support/namespace_fixture.h"

namespace aster::primary {

/// A namespace that keeps what was deleted and replaced. Nothing is young unless a test says so.
class KeepingFixture : public testing::NamespaceFixture {
 protected:
  void SetUp() override {
    options_.keep.trash_age = std::chrono::hours(24 * 30);
    options_.keep.versions = 3;
    NamespaceFixture::SetUp();
  }
  void TearDown() override {
    EXPECT_EQ(findings(), "");
    NamespaceFixture::TearDown();
  }
  std::string findings() {
    const auto found = database_->read([](db::Txn& txn) -> Result<std::vector<db::Finding>> {
      return db::check_consistency(txn);
    });
    EXPECT_TRUE(found.ok()) << found.error().message();
    std::string out;
    for (const db::Finding& one : *found) out += one.rule + " (" + one.examples[0] + ") ";
    return out;
  }
  /// A file with these bytes that is old enough for everything.
  InodeNo file(InodeNo parent, const std::string& name, const std::string& bytes) {
    const InodeNo ino = make(parent, name).ino;
    if (!bytes.empty()) {
      EXPECT_TRUE(write(ino, 0, bytes).ok());
    }
    grow_old();
    return ino;
  }
  void grow_old() { clock_.advance(std::chrono::hours(1)); }
  void unlink(InodeNo parent, const std::string& name) {
    EXPECT_TRUE(call<fs::Removed>(fs::Unlink{parent, name}).ok()) << name;
  }
  void rmdir(InodeNo parent, const std::string& name) {
    EXPECT_TRUE(call<fs::Removed>(fs::Rmdir{parent, name}).ok()) << name;
  }
  std::vector<fs::Kept> trash(fs::ListTrash what = {}) {
    std::vector<fs::Kept> all;
    for (;;) {
      const auto page = call<fs::KeptPage>(what);
      EXPECT_TRUE(page.ok()) << page.error().message();
      if (!page.ok()) return all;
      all.insert(all.end(), page->entries.begin(), page->entries.end());
      if (page->next == 0) return all;
      what.before = page->next;
    }
  }
  std::vector<fs::Kept> versions(InodeNo ino) {
    const auto page = call<fs::KeptPage>(fs::ListVersions{ino});
    EXPECT_TRUE(page.ok()) << page.error().message();
    return page.ok() ? page->entries : std::vector<fs::Kept>();
  }
  Result<fs::Attr> restore(uint64_t id) {
    fs::RestoreTrash op;
    op.id = id;
    return call<fs::Attr>(op);
  }
  /// Long enough for everything that nothing keeps.
  void collect() {
    for (int round = 0; round < 2; ++round) {
      clock_.advance(options_.object_grace + options_.orphan_grace);
      run_duties();
    }
  }
  uint64_t used() { return sql<uint64_t>("SELECT bytes FROM workspaces"); }
  uint64_t inodes() { return sql<uint64_t>("SELECT inodes FROM workspaces"); }
  void set_quota(uint64_t bytes) {
    ASSERT_TRUE(run_blocking(database_->write([&](db::Txn& txn) -> Result<void> {
                  db::WorkspaceStore(txn).set_quota(caller_.workspace, bytes);
                  return ok();
                })).ok());
  }
};

}  // namespace aster::primary
