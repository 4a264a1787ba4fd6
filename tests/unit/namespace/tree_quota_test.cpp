#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "server/db/consistency.h"
#include "server/primary/tree_quotas.h"
#include "tests/support/namespace_fixture.h"

namespace aster::primary {
namespace {

using fs::Attr;

class TreeQuota : public testing::NamespaceFixture {
 protected:
  void SetUp() override {
    options_.keep.trash_age = std::chrono::hours(1);
    options_.keep.trash_min_age = std::chrono::seconds(0);
    NamespaceFixture::SetUp();
    quotas_ = std::make_unique<TreeQuotas>(*database_, executor_, clock_,
                                           [](uint64_t) { return nullptr; });
  }
  void TearDown() override {
    expect_consistent();
    quotas_.reset();
  }

  Result<TreeQuotas::Shown> set(const std::string& path, uint64_t bytes) {
    return run_blocking(quotas_->set({caller_.workspace, path, bytes}));
  }
  int64_t used(InodeNo root) {
    const auto tree = run_blocking(quotas_->find(root));
    EXPECT_TRUE(tree.ok()) << tree.error().message();
    return tree.ok() ? tree->tree.used : -1;
  }
  InodeNo file_of(InodeNo parent, const std::string& name, size_t bytes) {
    const InodeNo ino = make(parent, name).ino;
    const auto written = write(ino, 0, std::string(bytes, 'x'));
    EXPECT_TRUE(written.ok()) << written.error().message();
    return ino;
  }
  /// Uploads before the quota is near, so that the commit is what is judged.
  fs::Commit prepared(InodeNo ino, uint64_t offset, const std::string& bytes) {
    fs::Commit commit;
    commit.ino = ino;
    commit.objects = {upload(ino, bytes)};
    commit.extents = {{offset, bytes.size(), commit.objects[0].id, 0}};
    return commit;
  }
  /// What nothing refers to any more, `after` so long.
  void collect(std::chrono::seconds after) {
    for (const std::chrono::seconds wait :
         {after, options_.orphan_grace, options_.object_grace, options_.object_grace}) {
      clock_.advance(wait);
      run_duties();
    }
  }
  std::vector<db::Finding> findings() {
    const auto found = database_->read([](db::Txn& txn) -> Result<std::vector<db::Finding>> {
      return db::check_consistency(txn);
    });
    EXPECT_TRUE(found.ok()) << found.error().message();
    return found.ok() ? *found : std::vector<db::Finding>();
  }
  void expect_consistent() {
    for (const db::Finding& finding : findings()) {
      ADD_FAILURE() << finding.rule << ": " << finding.examples.front();
    }
  }
  void change(std::string_view statement) {
    const auto done = run_blocking(database_->write([&](db::Txn& txn) -> Result<void> {
      txn.exec(statement);
      return ok();
    }));
    ASSERT_TRUE(done.ok()) << done.error().message();
  }

  std::unique_ptr<TreeQuotas> quotas_;
};

TEST_F(TreeQuota, is_kept_to_the_byte) {
  const InodeNo dir = make_dir(root_, "d").ino;
  const InodeNo ino = make(dir, "f").ino;
  const fs::Commit first = prepared(ino, 0, std::string(600, 'a'));
  const fs::Commit too_much = prepared(ino, 600, std::string(401, 'b'));
  const fs::Commit rest = prepared(ino, 600, std::string(400, 'c'));
  const auto made = set("/d", 1000);
  ASSERT_TRUE(made.ok()) << made.error().message();
  EXPECT_EQ(made->path, "/d");
  EXPECT_EQ(made->tree.state, db::TreeState::active);
  EXPECT_TRUE(call<Attr>(first).ok());
  const auto refused = call<Attr>(too_much);
  EXPECT_TRUE(refused.failed_with(Errc::quota_exceeded));
  EXPECT_NE(refused.error().message().find("'d'"), std::string::npos) << "names the folder";
  EXPECT_EQ(used(dir), 600) << "nothing of it is counted";
  EXPECT_TRUE(call<Attr>(rest).ok());
  EXPECT_EQ(used(dir), 1000);
  EXPECT_TRUE(call<fs::UploadGrants>(fs::Grant{ino, 1, 1}).failed_with(Errc::quota_exceeded));
  const InodeNo outside = make(root_, "other").ino;
  EXPECT_TRUE(write(outside, 0, std::string(5000, 'x')).ok()) << "elsewhere there is none";
}

TEST_F(TreeQuota, counts_what_is_there_when_it_is_set) {
  const InodeNo dir = make_dir(root_, "d").ino;
  InodeNo at = dir;
  for (int depth = 0; depth < 5; ++depth) {
    at = make_dir(at, "sub").ino;
    file_of(at, "f", 100);
  }
  for (int i = 0; i < 1200; ++i) make(dir, "n" + std::to_string(i));  // more than one step
  file_of(root_, "outside", 1000);
  const auto made = set("/d", 10'000);
  ASSERT_TRUE(made.ok()) << made.error().message();
  EXPECT_EQ(made->tree.used, 500);
  EXPECT_EQ(made->tree.counted, 1210u);
  EXPECT_EQ(made->tree.state, db::TreeState::active);
}

TEST_F(TreeQuota, may_be_below_what_is_used) {
  const InodeNo dir = make_dir(root_, "d").ino;
  const InodeNo ino = file_of(dir, "f", 900);
  ASSERT_TRUE(set("/d", 500).ok());
  EXPECT_EQ(call<fs::StatFsAnswer>(fs::StatFs{dir})->free_bytes, 0u);
  fs::SetAttr cut;
  cut.ino = ino;
  cut.size = 100;
  EXPECT_TRUE(call<Attr>(cut).ok());
  EXPECT_EQ(used(dir), 100);
  EXPECT_TRUE(write(ino, 100, std::string(400, 'y')).ok());
}

TEST_F(TreeQuota, shows_in_statfs_of_what_is_below) {
  const InodeNo dir = make_dir(root_, "d").ino;
  const InodeNo sub = make_dir(dir, "sub").ino;
  file_of(sub, "f", 300);
  file_of(root_, "g", 50);
  ASSERT_TRUE(set("/d", 1000).ok());
  for (const InodeNo ino : {dir, sub}) {
    EXPECT_EQ(call<fs::StatFsAnswer>(fs::StatFs{ino})->total_bytes, 1000u);
    EXPECT_EQ(call<fs::StatFsAnswer>(fs::StatFs{ino})->free_bytes, 700u);
  }
  EXPECT_GT(call<fs::StatFsAnswer>(fs::StatFs{root_})->total_bytes, 1000u);
  const auto text = call<fs::XattrValue>(fs::GetXattr{sub, "user.aster.quota"});
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(text->value, "quota\tused\tstate\tfolder\n1000\t300\tcounted\t/d\n");
  EXPECT_TRUE(call<fs::XattrValue>(fs::GetXattr{root_, "user.aster.quota"})
                  .failed_with(Errc::no_attribute));
}

TEST_F(TreeQuota, nested_ones_are_charged_along_the_way_up) {
  const InodeNo outer = make_dir(root_, "a").ino;
  const InodeNo middle = make_dir(outer, "b").ino;
  const InodeNo inner = make_dir(middle, "c").ino;
  file_of(inner, "f", 100);
  file_of(outer, "g", 10);
  ASSERT_TRUE(set("/a/b/c", 1000).ok());
  ASSERT_TRUE(set("/a", 250).ok()) << "around one that is there";
  ASSERT_TRUE(set("/a/b", 2000).ok()) << "between two";
  EXPECT_EQ(used(outer), 110);
  EXPECT_EQ(used(middle), 100);
  EXPECT_EQ(used(inner), 100);
  const InodeNo more = make(inner, "more").ino;
  const fs::Commit fits = prepared(more, 0, std::string(140, 'x'));
  const fs::Commit not_any_more = prepared(more, 140, "y");
  EXPECT_TRUE(call<Attr>(fits).ok());
  EXPECT_TRUE(call<Attr>(not_any_more).failed_with(Errc::quota_exceeded))
      << "the outermost is full";
  EXPECT_EQ(used(outer), 250);
  EXPECT_EQ(used(inner), 240);
  EXPECT_EQ(call<fs::StatFsAnswer>(fs::StatFs{inner})->total_bytes, 240u);

  ASSERT_TRUE(run_blocking(quotas_->remove(middle)).ok());
  expect_consistent();
  EXPECT_EQ(used(outer), 250);
  EXPECT_EQ(used(inner), 240);
  ASSERT_TRUE(run_blocking(quotas_->remove(outer)).ok());
  EXPECT_TRUE(call<Attr>(not_any_more).ok());
  EXPECT_EQ(used(inner), 241);
}

TEST_F(TreeQuota, names_do_not_cross_its_border) {
  const InodeNo dir = make_dir(root_, "d").ino;
  const InodeNo sub = make_dir(dir, "sub").ino;
  file_of(dir, "in", 10);
  const InodeNo out = file_of(root_, "out", 10);
  ASSERT_TRUE(set("/d", 1000).ok());
  const auto rename = [&](InodeNo from, const char* name, InodeNo to, const char* as,
                          bool exchange = false) {
    fs::Rename op{.parent = from, .name = name};
    op.new_parent = to;
    op.new_name = as;
    op.exchange = exchange;
    return call<fs::Renamed>(op);
  };
  EXPECT_TRUE(rename(dir, "in", root_, "in").failed_with(Errc::cross_workspace));
  EXPECT_TRUE(rename(root_, "out", sub, "out").failed_with(Errc::cross_workspace));
  EXPECT_TRUE(rename(dir, "in", root_, "out", true).failed_with(Errc::cross_workspace));
  fs::Link link;
  link.ino = out;
  link.parent = dir;
  link.name = "link";
  EXPECT_TRUE(call<Attr>(link).failed_with(Errc::cross_workspace));
  EXPECT_TRUE(rename(dir, "in", sub, "in").ok()) << "inside it is one tree";
  EXPECT_TRUE(rename(root_, "d", root_, "e").ok()) << "the folder itself may move";
  EXPECT_EQ(run_blocking(quotas_->find(dir))->path, "/e");
  EXPECT_EQ(used(dir), 10);
}

TEST_F(TreeQuota, trash_is_free_and_what_comes_back_counts) {
  const InodeNo dir = make_dir(root_, "d").ino;
  const InodeNo other = make_dir(root_, "o").ino;
  const InodeNo ino = file_of(dir, "f", 600);
  ASSERT_TRUE(set("/d", 1000).ok());
  ASSERT_TRUE(set("/o", 500).ok());
  clock_.advance(std::chrono::seconds(1));
  ASSERT_TRUE(call<fs::Removed>(fs::Unlink{dir, "f"}).ok());
  EXPECT_EQ(used(dir), 0);
  const uint64_t id = call<fs::KeptPage>(fs::ListTrash{})->entries.at(0).id;
  fs::RestoreTrash restore;
  restore.id = id;
  restore.parent = other;
  EXPECT_TRUE(call<Attr>(restore).failed_with(Errc::quota_exceeded)) << "600 into 500";
  file_of(dir, "g", 401);
  restore.parent = dir;
  EXPECT_TRUE(call<Attr>(restore).failed_with(Errc::quota_exceeded));
  restore.parent = root_;
  EXPECT_TRUE(call<Attr>(restore).ok());
  EXPECT_EQ(used(dir), 401);
  EXPECT_EQ(used(other), 0);
  EXPECT_TRUE(write(ino, 600, std::string(1000, 'x')).ok()) << "it is in no tree now";
}

TEST_F(TreeQuota, removed_and_open_files_count_until_they_are_collected) {
  const Caller session = open_session();
  const InodeNo dir = make_dir(root_, "d").ino;
  const InodeNo ino = file_of(dir, "f", 600);
  ASSERT_TRUE(set("/d", 1000).ok());
  fs::Unlink unlink{dir, "f", true};
  unlink.skip_trash = true;
  ASSERT_TRUE(call_as<fs::Removed>(session, unlink).ok());
  EXPECT_EQ(used(dir), 600);
  const InodeNo next = make(dir, "g").ino;
  const fs::Commit wanted = prepared(next, 0, std::string(500, 'x'));
  EXPECT_TRUE(call<Attr>(wanted).failed_with(Errc::quota_exceeded)) << "it is still open";
  ASSERT_TRUE(call_as<fs::Empty>(session, fs::Release{ino}).ok());
  EXPECT_TRUE(call<Attr>(wanted).ok()) << "nobody has it open";
  clock_.advance(std::chrono::hours(1));
  run_duties();
  EXPECT_EQ(used(dir), 500);
}

TEST_F(TreeQuota, ends_with_its_folder_and_undoes_itself) {
  const InodeNo outer = make_dir(root_, "a").ino;
  const InodeNo inner = make_dir(outer, "b").ino;
  file_of(outer, "f", 100);
  ASSERT_TRUE(set("/a", 1000).ok());
  ASSERT_TRUE(set("/a/b", 1000).ok());
  ASSERT_TRUE(call<fs::Removed>(fs::Rmdir{outer, "b"}).ok());
  ASSERT_TRUE(run_blocking(quotas_->settle()).ok());
  EXPECT_TRUE(run_blocking(quotas_->find(inner)).failed_with(Errc::not_found));
  EXPECT_EQ(used(outer), 100);
  ASSERT_TRUE(run_blocking(quotas_->remove(outer)).ok());
  EXPECT_EQ(sql<int>("SELECT count(*) FROM quota_members"), 0);
  EXPECT_EQ(sql<int>("SELECT count(*) FROM quota_trees"), 0);
  EXPECT_TRUE(run_blocking(quotas_->remove(outer)).failed_with(Errc::not_found));
}

TEST_F(TreeQuota, is_for_folders_that_are_there) {
  make(root_, "f");
  EXPECT_TRUE(set("/f", 10).failed_with(Errc::not_directory));
  EXPECT_TRUE(set("/none", 10).failed_with(Errc::not_found));
}

/// While a tree is counted, step by step, everything else goes on: the sum is right in the end.
TEST_F(TreeQuota, what_changes_while_it_is_counted_is_counted_once) {
  const unsigned seed = 20261121;
  std::mt19937 random(seed);
  const InodeNo top = make_dir(root_, "top").ino;
  std::vector<InodeNo> dirs{top};
  for (int i = 0; i < 12; ++i) {
    dirs.push_back(make_dir(dirs[random() % dirs.size()], "d" + std::to_string(i)).ino);
  }
  const InodeNo outside = make_dir(root_, "outside").ino;
  // So many in one folder that each of them takes several steps.
  for (int i = 0; i < 1500; ++i) make(dirs[i % 2], "n" + std::to_string(i));
  for (int i = 0; i < 40; ++i) file_of(dirs[random() % dirs.size()], "f" + std::to_string(i), 10);
  dirs.push_back(outside);
  std::atomic<bool> done{false};
  std::jthread changer([&] {
    for (int i = 0; !done || i < 200; ++i) {
      const InodeNo from = dirs[random() % dirs.size()];
      const InodeNo to = dirs[random() % dirs.size()];
      const std::string name = "f" + std::to_string(random() % 40);
      fs::Rename rename{.parent = from, .name = name};
      rename.new_parent = to;
      rename.new_name = random() % 2 == 0 ? name : "f" + std::to_string(random() % 40);
      rename.exchange = random() % 4 == 0;
      static_cast<void>(call<fs::Renamed>(rename));
      fs::Rename folder{.parent = from, .name = "d" + std::to_string(random() % 12)};
      folder.new_parent = to;
      folder.new_name = folder.name;
      static_cast<void>(call<fs::Renamed>(folder));
      static_cast<void>(call<fs::Removed>(fs::Unlink{to, "f" + std::to_string(random() % 40)}));
      fs::Create create;
      create.parent = from;
      create.name = "f" + std::to_string(random() % 40);
      create.type = fs::FileType::regular;
      if (const auto made = call<Attr>(create); made.ok() && made->nlink > 0) {
        // Another one may be there by that name, or may be gone by now.
        const auto grants = call<fs::UploadGrants>(fs::Grant{made->ino, 30, 1});
        if (!grants.ok()) continue;
        fs::Commit commit;
        commit.ino = made->ino;
        commit.objects = {{grants->grants[0].object, 30, {crc(0)}}};
        commit.extents = {{0, 30, commit.objects[0].id, 0}};
        backends_.put(commit.objects[0].id, std::string(30, 'z'));
        static_cast<void>(call<Attr>(commit));
      }
    }
  });
  for (int round = 0; round < 3; ++round) {
    const auto made = set("/top", 1'000'000);
    ASSERT_TRUE(made.ok()) << made.error().message();
    ASSERT_TRUE(run_blocking(quotas_->settle()).ok());
    expect_consistent();
    const auto inner = set("/top/d0", 1'000'000);  // where it is, if it is there
    ASSERT_TRUE(inner.ok() || inner.failed_with(Errc::not_found)) << inner.error().message();
    ASSERT_TRUE(run_blocking(quotas_->settle()).ok());
    expect_consistent();
    ASSERT_TRUE(run_blocking(quotas_->remove(top)).ok());
    if (inner.ok()) {
      ASSERT_TRUE(run_blocking(quotas_->remove(inner->tree.root)).ok());
    }
    expect_consistent();
  }
  done = true;
  changer.join();
}

TEST_F(TreeQuota, sixteen_writers_never_exceed_and_never_leak) {
  constexpr int kWriters = 16;
  constexpr int kFiles = 20;
  constexpr int64_t kBytes = 100;
  const InodeNo dir = make_dir(root_, "d").ino;
  const InodeNo sub = make_dir(dir, "sub").ino;
  std::vector<fs::Commit> commits;
  for (int i = 0; i < kWriters * kFiles; ++i) {
    const InodeNo ino = make(i % 2 == 0 ? dir : sub, "f" + std::to_string(i)).ino;
    commits.push_back(prepared(ino, 0, std::string(kBytes, 'x')));
  }
  const int64_t quota = 12'345;
  ASSERT_TRUE(set("/d", quota).ok());
  ASSERT_TRUE(set("/d/sub", 5'050).ok());
  std::atomic<int64_t> good{0};
  std::atomic<int64_t> refused{0};
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
  EXPECT_EQ(used(dir), good * kBytes);
  EXPECT_EQ(used(sub), 5'000);

  collect(options_.grant_lifetime);
  EXPECT_EQ(backends_.count(), static_cast<size_t>(good)) << "what was refused is not kept";
  for (int i = 0; i < kWriters * kFiles; ++i) {
    const fs::Unlink unlink{i % 2 == 0 ? dir : sub, "f" + std::to_string(i)};
    ASSERT_TRUE(call<fs::Removed>(unlink).ok());
  }
  EXPECT_EQ(used(dir), 0);
  EXPECT_EQ(used(sub), 0);
  collect(options_.keep.trash_age);
  EXPECT_EQ(backends_.count(), 0u);
  EXPECT_EQ(sql<int64_t>("SELECT bytes FROM workspaces"), 0);
}

TEST_F(TreeQuota, wrong_sums_are_found_and_put_right) {
  const InodeNo dir = make_dir(root_, "d").ino;
  const InodeNo sub = make_dir(dir, "sub").ino;
  file_of(sub, "f", 100);
  ASSERT_TRUE(set("/d", 1000).ok());
  clock_.advance(std::chrono::seconds(1));
  file_of(sub, "g", 50);
  change("UPDATE quota_trees SET used=7");
  change(
      "DELETE FROM quota_members WHERE ino IN (SELECT ino FROM dirents WHERE name IN "
      "(x'737562', x'67'))");  // "sub", "g"
  EXPECT_EQ(findings().size(), 2u);
  change("INSERT INTO quota_members VALUES (999999, 4711)");
  EXPECT_EQ(findings().size(), 3u);
  const auto repaired = run_blocking(database_->write([this](db::Txn& txn) -> Result<uint64_t> {
    return db::repair_consistency(txn, clock_.now_ns());
  }));
  ASSERT_TRUE(repaired.ok());
  expect_consistent();
  EXPECT_EQ(used(dir), 150);
}

TEST_F(TreeQuota, goes_on_after_a_restart) {
  const InodeNo dir = make_dir(root_, "d").ino;
  for (int i = 0; i < 600; ++i) make(dir, "n" + std::to_string(i));
  file_of(dir, "f", 100);
  // As a process leaves it that ends right after the first transaction.
  change(
      "INSERT INTO quota_trees SELECT ino, workspace, 0, 0, 1000, 0, 0, 0 FROM inodes WHERE ino="
      "(SELECT ino FROM dirents WHERE name=x'64')");
  change("INSERT INTO quota_members SELECT root, root FROM quota_trees");
  change("INSERT INTO quota_walk SELECT root, root, 0 FROM quota_trees");
  EXPECT_TRUE(set("/", 10).failed_with(Errc::precondition_failed)) << "one after the other";
  quotas_.reset();
  restart();
  quotas_ =
      std::make_unique<TreeQuotas>(*database_, executor_, clock_, [](uint64_t) { return nullptr; });
  ASSERT_TRUE(run_blocking(quotas_->settle()).ok());
  EXPECT_EQ(used(dir), 100);
  EXPECT_EQ(run_blocking(quotas_->find(dir))->tree.state, db::TreeState::active);
}

}  // namespace
}  // namespace aster::primary
