#include <gtest/gtest.h>

#include <thread>

#include "tests/support/namespace_fixture.h"

namespace aster::primary {
namespace {

using fs::Attr;

class Quota : public testing::NamespaceFixture {
 protected:
  void set_quota(uint64_t bytes) {
    const auto done = run_blocking(database_->write([&](db::Txn& txn) -> Result<void> {
      db::WorkspaceStore(txn).set_quota(caller_.workspace, bytes);
      return ok();
    }));
    ASSERT_TRUE(done.ok()) << done.error().message();
  }
  /// What nothing refers to any more, `after` so long.
  void collect(std::chrono::seconds after) {
    for (const std::chrono::seconds wait : {after, options_.object_grace, options_.object_grace}) {
      clock_.advance(wait);
      run_duties();
    }
  }
  uint64_t used() { return sql<uint64_t>("SELECT bytes FROM workspaces"); }
  /// Uploads before the quota is near, so that the commit is what is judged.
  fs::Commit prepared(InodeNo ino, uint64_t offset, const std::string& bytes) {
    fs::Commit commit;
    commit.ino = ino;
    commit.objects = {upload(ino, bytes)};
    commit.extents = {{offset, bytes.size(), commit.objects[0].id, 0}};
    return commit;
  }
};

TEST_F(Quota, is_kept_to_the_byte) {
  const InodeNo ino = make(root_, "f").ino;
  const fs::Commit first = prepared(ino, 0, std::string(600, 'a'));
  const fs::Commit too_much = prepared(ino, 600, std::string(401, 'b'));
  const fs::Commit rest = prepared(ino, 600, std::string(400, 'c'));
  set_quota(1000);
  EXPECT_TRUE(call<Attr>(first).ok());
  EXPECT_TRUE(call<Attr>(too_much).failed_with(Errc::quota_exceeded));
  EXPECT_EQ(attr(ino).size, 600u) << "nothing of it is there";
  EXPECT_EQ(used(), 600u);
  EXPECT_TRUE(call<Attr>(rest).ok());
  EXPECT_EQ(used(), 1000u);
  EXPECT_TRUE(call<fs::UploadGrants>(fs::Grant{ino, 1, 1}).failed_with(Errc::quota_exceeded));
}

TEST_F(Quota, counts_what_is_covered) {
  const InodeNo ino = make(root_, "f").ino;
  const fs::Commit once = prepared(ino, 0, std::string(600, 'a'));
  const fs::Commit again = prepared(ino, 0, std::string(600, 'b'));
  set_quota(1000);
  EXPECT_TRUE(call<Attr>(once).ok());
  EXPECT_TRUE(call<Attr>(again).ok()) << "overwriting covers no more";
  fs::SetAttr grow;
  grow.ino = ino;
  grow.size = 1 << 30;
  EXPECT_TRUE(call<Attr>(grow).ok()) << "a hole costs nothing";
  const InodeNo copy = make(root_, "copy").ino;
  EXPECT_TRUE(call<Attr>(fs::CopyRange{ino, 0, copy, 0, 600}).failed_with(Errc::quota_exceeded))
      << "each copy counts";
  EXPECT_TRUE(call<Attr>(fs::CopyRange{ino, 0, copy, 0, 400}).ok());
}

TEST_F(Quota, removed_files_make_room_at_once) {
  ASSERT_TRUE(write(make(root_, "old").ino, 0, std::string(900, 'a')).ok());
  const InodeNo ino = make(root_, "new").ino;
  const fs::Commit commit = prepared(ino, 0, std::string(900, 'b'));
  set_quota(1000);
  EXPECT_TRUE(call<Attr>(commit).failed_with(Errc::quota_exceeded));
  ASSERT_TRUE(call<fs::Removed>(fs::Unlink{root_, "old"}).ok());
  EXPECT_TRUE(call<fs::UploadGrants>(fs::Grant{ino, 1, 1}).ok());
  EXPECT_TRUE(call<Attr>(commit).ok());
}

TEST_F(Quota, shows_in_statfs_and_can_be_below_what_is_used) {
  const InodeNo ino = make(root_, "f").ino;
  ASSERT_TRUE(write(ino, 0, std::string(900, 'a')).ok());
  set_quota(1000);
  EXPECT_EQ(call<fs::StatFsAnswer>(fs::StatFs{root_})->free_bytes, 100u);
  EXPECT_EQ(call<fs::StatFsAnswer>(fs::StatFs{root_})->total_bytes, 1000u);
  set_quota(500);
  EXPECT_EQ(call<fs::StatFsAnswer>(fs::StatFs{root_})->free_bytes, 0u);
  EXPECT_EQ(content(ino).size(), 900u);
  fs::SetAttr cut;
  cut.ino = ino;
  cut.size = 100;
  EXPECT_TRUE(call<Attr>(cut).ok());
  set_quota(0);
  EXPECT_EQ(call<fs::StatFsAnswer>(fs::StatFs{root_})->free_bytes, 600u << 20);
}

TEST_F(Quota, sixteen_writers_never_exceed_and_never_leak) {
  constexpr int kWriters = 16;
  constexpr int kFiles = 20;
  constexpr uint64_t kBytes = 100;
  std::vector<fs::Commit> commits;
  for (int i = 0; i < kWriters * kFiles; ++i) {
    const InodeNo ino = make(root_, "f" + std::to_string(i)).ino;
    commits.push_back(prepared(ino, 0, std::string(kBytes, 'x')));
  }
  const uint64_t quota = 12'345;
  set_quota(quota);
  std::atomic<uint64_t> good{0};
  std::atomic<uint64_t> refused{0};
  std::vector<std::jthread> writers;
  for (int w = 0; w < kWriters; ++w) {
    writers.emplace_back([&, w] {
      for (int i = 0; i < kFiles; ++i) {
        const auto done = call<Attr>(commits[static_cast<size_t>(w * kFiles + i)]);
        ++(done.ok() ? good : refused);
        EXPECT_TRUE(done.ok() || done.failed_with(Errc::quota_exceeded));
      }
    });
  }
  writers.clear();
  EXPECT_EQ(good, quota / kBytes);
  EXPECT_EQ(good + refused, static_cast<uint64_t>(kWriters * kFiles));
  EXPECT_EQ(used(), good * kBytes);

  EXPECT_EQ(backends_.count(), good + refused);
  collect(options_.grant_lifetime);
  EXPECT_EQ(backends_.count(), good) << "what was refused is not kept";
  EXPECT_EQ(used(), good * kBytes);
  for (int i = 0; i < kWriters * kFiles; ++i) {
    ASSERT_TRUE(call<fs::Removed>(fs::Unlink{root_, "f" + std::to_string(i)}).ok());
  }
  collect(options_.orphan_grace);
  EXPECT_EQ(used(), 0u);
  EXPECT_EQ(backends_.count(), 0u);
  EXPECT_EQ(sql<uint64_t>("SELECT count(*) FROM objects"), 0u);
  const InodeNo all = make(root_, "all").ino;
  EXPECT_TRUE(write(all, 0, std::string(quota, 'x')).ok()) << "all of it is free again";
}

}  // namespace
}  // namespace aster::primary
