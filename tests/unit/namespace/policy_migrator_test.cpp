#include "server/primary/policy_migrator.h"

#include "protocol/checksum.h"
#include "server/db/consistency.h"
#include "tests/support/namespace_fixture.h"

namespace aster::primary {
namespace {

using db::MigrationState;

/// Files under policy 1 that go to policy 2.
class PolicyMigratorTest : public testing::NamespaceFixture {
 protected:
  void SetUp() override {
    options_.keep.trash_age = std::chrono::hours(24 * 30);
    options_.keep.versions = 3;
    options_.directory_policies = true;
    NamespaceFixture::SetUp();
    backends_.knobs.lock()->limits.part_size = kBlockSize;
    migrator_ = std::make_unique<PolicyMigrator>(*database_, backends_, executor_, clock_);
  }
  void TearDown() override {
    const auto found = database_->read([](db::Txn& txn) -> Result<std::vector<db::Finding>> {
      return db::check_consistency(txn);
    });
    ASSERT_TRUE(found.ok());
    for (const db::Finding& one : *found) ADD_FAILURE() << one.rule << ": " << one.examples[0];
    migrator_.reset();
    NamespaceFixture::TearDown();
  }
  void restart_with(bool directories_choose) {
    migrator_.reset();
    options_.directory_policies = directories_choose;
    restart();
    migrator_ = std::make_unique<PolicyMigrator>(*database_, backends_, executor_, clock_);
  }
  /// Like write(), with the checksums that the bytes have.
  void store(InodeNo ino, uint64_t offset, const std::string& bytes) {
    fs::NewObject object = upload(ino, bytes);
    BlockChecksums sums;
    sums.update(as_bytes(bytes));
    object.crc32c = sums.finish();
    fs::Commit commit;
    commit.ino = ino;
    commit.extents = {{offset, bytes.size(), object.id, 0}};
    commit.objects = {object};
    ASSERT_TRUE(call<fs::Attr>(commit).ok());
  }
  InodeNo file(InodeNo parent, const std::string& name, const std::string& bytes) {
    const InodeNo ino = make(parent, name).ino;
    store(ino, 0, bytes);
    return ino;
  }
  /// Migrates with a rate, on a clock that only the migrator's waits move: how long they were.
  Duration waits_at(uint64_t rate, const std::string& path) {
    Duration waited{0};
    migrator_ = std::make_unique<PolicyMigrator>(
        *database_, backends_, [&](Duration length) { return note_pause(waited, length); }, clock_);
    PolicyMigrator::Wanted wanted{caller_.workspace, path, PolicyId(2), rate};
    EXPECT_TRUE(run_blocking(migrator_->add(std::move(wanted))).ok());
    EXPECT_TRUE(run_blocking(migrator_->run_jobs()).ok());
    migrator_.reset();
    return waited;
  }
  Task<void> note_pause(Duration& waited, Duration length) {
    EXPECT_GT(length.count(), 0);
    EXPECT_LE(length, std::chrono::seconds(1)) << "stop() waits for it";
    waited += length;
    clock_.advance(length);
    co_return;
  }
  static std::string bytes(size_t size, char seed) {
    std::string out(size, '\0');
    for (size_t i = 0; i < size; ++i) out[i] = static_cast<char>(seed + i * 7 + i / 251);
    return out;
  }
  db::MigrationRow begin(const std::string& path) {
    const auto added = run_blocking(migrator_->add({caller_.workspace, path, PolicyId(2), 0}));
    EXPECT_TRUE(added.ok()) << added.error().message();
    return added.ok() ? *added : db::MigrationRow();
  }
  db::MigrationRow job(uint64_t id) {
    const auto row = database_->read([&](db::Txn& txn) -> Result<db::MigrationRow> {
      return db::MigrationStore(txn).find(id).value();
    });
    return *row;
  }
  /// How many bytes of files lie under a policy.
  uint64_t under(int policy) {
    return policy == 1 ? sql<uint64_t>(
                             "SELECT coalesce(sum(e.length), 0) FROM extents e JOIN "
                             "objects o ON o.id=e.object WHERE o.policy=1")
                       : sql<uint64_t>(
                             "SELECT coalesce(sum(e.length), 0) FROM extents e JOIN "
                             "objects o ON o.id=e.object WHERE o.policy=2");
  }

  std::unique_ptr<PolicyMigrator> migrator_;
};

TEST_F(PolicyMigratorTest, moves_a_tree_and_nothing_else) {
  const InodeNo dir = make_dir(root_, "d").ino;
  const InodeNo below = make_dir(dir, "e").ino;
  const std::string large = bytes(5 * kBlockSize + 100, 'a');
  const InodeNo one = file(dir, "one", large);
  const InodeNo two = file(below, "two", "small");
  store(two, 1'000'000, "behind a hole");
  const InodeNo other = file(root_, "other", "stays");
  const db::MigrationRow started = begin("/d");
  EXPECT_EQ(started.state, MigrationState::listing);
  ASSERT_TRUE(run_blocking(migrator_->run_jobs()).ok());
  const db::MigrationRow done = job(started.id);
  EXPECT_EQ(done.state, MigrationState::done);
  EXPECT_EQ(done.files, 2u);
  EXPECT_EQ(done.files_done, 2u);
  EXPECT_EQ(done.bytes, large.size() + 18);
  EXPECT_EQ(done.bytes_done, done.bytes);
  EXPECT_EQ(under(1), 5u);
  EXPECT_EQ(content(one), large);
  EXPECT_EQ(content(two).substr(1'000'000), "behind a hole");
  EXPECT_EQ(content(other), "stays");
  clock_.advance(options_.object_grace * 2);
  run_duties();
  EXPECT_EQ(sql<int>("SELECT count(*) FROM objects WHERE policy=1"), 1) << "the old ones are gone";
  EXPECT_EQ(content(one), large);
  EXPECT_EQ(sql<int>("SELECT count(*) FROM policy_migration_inodes"), 0);
  EXPECT_EQ(sql<int>("SELECT sum(pending_objects) FROM workspaces"), 0);
}

TEST_F(PolicyMigratorTest, goes_on_after_its_process_ended) {
  const std::string large = bytes(6 * kBlockSize, 'k');
  const InodeNo ino = file(root_, "f", large);
  const uint64_t id = begin("/f").id;
  int left = 3;
  backends_.knobs.lock()->before_write = [&] {
    if (left-- == 0) backends_.knobs.lock()->write_error = fail(Errc::unavailable, "cut off");
  };
  EXPECT_TRUE(run_blocking(migrator_->run_jobs()).failed_with(Errc::unavailable));
  EXPECT_EQ(job(id).state, MigrationState::moving);
  EXPECT_NE(job(id).problem.find("cut off"), std::string::npos);
  EXPECT_EQ(under(2), 3 * kBlockSize);
  EXPECT_EQ(content(ino), large) << "half here, half there";
  migrator_.reset();
  restart();
  backends_.knobs.lock()->before_write = {};
  backends_.knobs.lock()->write_error.reset();
  const uint64_t objects = sql<uint64_t>("SELECT count(*) FROM objects WHERE policy=2");
  migrator_ = std::make_unique<PolicyMigrator>(*database_, backends_, executor_, clock_);
  ASSERT_TRUE(run_blocking(migrator_->run_jobs()).ok());
  EXPECT_EQ(job(id).state, MigrationState::done);
  EXPECT_EQ(job(id).bytes_done, large.size());
  EXPECT_EQ(under(1), 0u);
  EXPECT_EQ(sql<uint64_t>("SELECT count(*) FROM objects WHERE policy=2"), objects + 3)
      << "what was moved is not moved again";
  EXPECT_EQ(content(ino), large);
  clock_.advance(options_.grant_lifetime);
  run_duties();
  EXPECT_EQ(content(ino), large);
}

TEST_F(PolicyMigratorTest, damaged_bytes_stay_where_they_are) {
  const InodeNo ino = file(root_, "f", bytes(1000, 'x'));
  backends_.put(manifest(ino).objects.at(0).id, bytes(1000, 'y'));
  const uint64_t id = begin("/f").id;
  EXPECT_TRUE(run_blocking(migrator_->run_jobs()).ok());
  EXPECT_EQ(job(id).state, MigrationState::failed);
  EXPECT_EQ(under(2), 0u);
  backends_.put(manifest(ino).objects.at(0).id, bytes(1000, 'x'));
  ASSERT_TRUE(run_blocking(migrator_->resume(id)).ok());
  EXPECT_TRUE(run_blocking(migrator_->run_jobs()).ok());
  EXPECT_EQ(job(id).state, MigrationState::done);
  EXPECT_TRUE(run_blocking(migrator_->resume(id)).failed_with(Errc::precondition_failed));
  EXPECT_TRUE(run_blocking(migrator_->cancel(id)).failed_with(Errc::precondition_failed));
  EXPECT_EQ(content(ino), bytes(1000, 'x'));
}

TEST_F(PolicyMigratorTest, copy_that_is_damaged_is_not_used) {
  const std::string large = bytes(2 * kBlockSize + 10, 'x');
  const InodeNo ino = file(root_, "f", large);
  const std::vector<std::function<void(std::string&)>> damages = {
      [](std::string& stored) { stored.back() ^= 1; },
      [](std::string& stored) { stored.clear(); },
      [](std::string& stored) { stored.assign(stored.size(), '\0'); },
  };
  const uint64_t id = begin("/f").id;
  for (const auto& damage : damages) {
    backends_.knobs.lock()->damage_written = damage;
    (void)run_blocking(migrator_->run_jobs());
    EXPECT_NE(job(id).problem, "");
    EXPECT_EQ(under(2), 0u) << "nothing names the copy";
    clock_.advance(options_.grant_lifetime + options_.object_grace * 2);
    run_duties();
    EXPECT_EQ(content(ino), large) << "the old data is kept";
    if (job(id).state == MigrationState::failed) {
      EXPECT_NE(job(id).problem.find("other bytes than were written"), std::string::npos);
      ASSERT_TRUE(run_blocking(migrator_->resume(id)).ok());
    }
  }
  backends_.knobs.lock()->damage_written = {};
  ASSERT_TRUE(run_blocking(migrator_->run_jobs()).ok());
  EXPECT_EQ(job(id).state, MigrationState::done);
  EXPECT_EQ(under(1), 0u);
  EXPECT_EQ(content(ino), large);
}

TEST_F(PolicyMigratorTest, copy_that_is_damaged_fails_the_migration) {
  const InodeNo ino = file(root_, "f", bytes(1000, 'x'));
  const uint64_t id = begin("/f").id;
  backends_.knobs.lock()->damage_written = [](std::string& stored) { stored[500] ^= 4; };
  EXPECT_TRUE(run_blocking(migrator_->run_jobs()).ok());
  EXPECT_EQ(job(id).state, MigrationState::failed);
  EXPECT_EQ(job(id).bytes_done, 0u);
  EXPECT_EQ(content(ino), bytes(1000, 'x'));
}

TEST_F(PolicyMigratorTest, takes_versions_and_trash_along) {
  const InodeNo dir = make_dir(root_, "d").ino;
  const InodeNo ino = file(dir, "f", "first");
  const InodeNo gone = file(dir, "gone", "deleted");
  clock_.advance(std::chrono::hours(1));
  store(ino, 0, "other");
  ASSERT_TRUE(call<fs::Removed>(fs::Unlink{dir, "gone"}).ok());
  begin("/d");
  ASSERT_TRUE(run_blocking(migrator_->run_jobs()).ok());
  EXPECT_EQ(under(1), 0u);
  EXPECT_EQ(content(gone), "deleted");
  const auto versions = call<fs::KeptPage>(fs::ListVersions{ino});
  ASSERT_EQ(versions->entries.size(), 1u);
  EXPECT_EQ(content(versions->entries[0].attr.ino), "first");
}

TEST_F(PolicyMigratorTest, what_is_written_meanwhile_is_right) {
  const std::string large = bytes(4 * kBlockSize, 'm');
  const InodeNo ino = file(root_, "f", large);
  begin("/f");
  int pieces = 0;
  std::string expected = large;
  backends_.knobs.lock()->before_write = [&] {
    if (++pieces != 1) return;
    // While the first piece is under way: over its end and the next one's start.
    store(ino, kBlockSize - 10, std::string(20, 'N'));
    expected.replace(kBlockSize - 10, 20, std::string(20, 'N'));
  };
  ASSERT_TRUE(run_blocking(migrator_->run_jobs()).ok());
  EXPECT_EQ(content(ino), expected);
  EXPECT_EQ(under(1), 0u);
}

TEST_F(PolicyMigratorTest, cancelled_jobs_stop_and_what_is_not_there_is_said) {
  const InodeNo ino = file(root_, "f", bytes(3 * kBlockSize, 'c'));
  const uint64_t id = begin("/f").id;
  backends_.knobs.lock()->before_write = [&] {
    EXPECT_TRUE(run_blocking(migrator_->cancel(id)).ok());
  };
  ASSERT_TRUE(run_blocking(migrator_->run_jobs()).ok());
  EXPECT_EQ(job(id).state, MigrationState::cancelled);
  EXPECT_EQ(under(2), kBlockSize);
  EXPECT_EQ(content(ino), bytes(3 * kBlockSize, 'c'));
  EXPECT_TRUE(run_blocking(migrator_->add({caller_.workspace, "/nowhere", PolicyId(2), 0}))
                  .failed_with(Errc::not_found));
}

TEST_F(PolicyMigratorTest, waits_as_long_as_its_rate_demands) {
  file(root_, "f", bytes(5 * kBlockSize, 'r'));
  EXPECT_EQ(waits_at(kBlockSize / 4, "/f"), std::chrono::seconds(20));
  EXPECT_EQ(under(2), 5 * kBlockSize);
  file(root_, "g", bytes(5 * kBlockSize, 'g'));
  EXPECT_EQ(waits_at(kBlockSize * 2, "/g"), std::chrono::milliseconds(2500));
}

TEST_F(PolicyMigratorTest, time_that_moving_took_counts_for_the_rate) {
  file(root_, "f", bytes(5 * kBlockSize, 'r'));
  backends_.knobs.lock()->before_write = [&] { clock_.advance(std::chrono::milliseconds(400)); };
  EXPECT_EQ(waits_at(kBlockSize, "/f"), std::chrono::milliseconds(5 * 600));
  file(root_, "g", bytes(5 * kBlockSize, 'g'));
  EXPECT_EQ(waits_at(kBlockSize * 4, "/g"), Duration(0)) << "slower than its rate anyway";
}

TEST_F(PolicyMigratorTest, does_not_wait_without_a_rate) {
  file(root_, "f", bytes(5 * kBlockSize, 'r'));
  EXPECT_EQ(waits_at(0, "/f"), Duration(0));
}

TEST_F(PolicyMigratorTest, directories_choose_for_what_is_made_below) {
  const InodeNo dir = make_dir(root_, "d").ino;
  const InodeNo below = make_dir(dir, "e").ino;
  const InodeNo before = make(below, "before").ino;
  ASSERT_TRUE(call<fs::Empty>(fs::SetXattr{dir, "user.aster.policy", "large"}).ok());
  EXPECT_EQ(call<fs::XattrValue>(fs::GetXattr{below, "user.aster.policy"})->value, "large");
  EXPECT_TRUE(call<fs::Empty>(fs::SetXattr{dir, "user.aster.policy", "nonsense"})
                  .failed_with(Errc::bad_request));
  const fs::Attr after = make(below, "after");
  EXPECT_TRUE(after.own_policy);
  EXPECT_FALSE(attr(before).own_policy);
  store(after.ino, 0, "data");
  store(before, 0, "more");
  EXPECT_EQ(under(2), 4u);
  EXPECT_EQ(call<fs::UploadGrants>(fs::Grant{after.ino, 1, 1})->shared_up_to, 0u);
  EXPECT_EQ(call<fs::UploadGrants>(fs::Grant{below, 1, 1})->shared_up_to, 0u);
  EXPECT_GT(call<fs::UploadGrants>(fs::Grant{before, 10, 1})->shared_up_to, 0u);
  ASSERT_TRUE(call<fs::Empty>(fs::RemoveXattr{dir, "user.aster.policy"}).ok());
  EXPECT_FALSE(make(below, "later").own_policy);
  restart_with(false);
  EXPECT_TRUE(call<fs::Empty>(fs::SetXattr{dir, "user.aster.policy", "large"})
                  .failed_with(Errc::not_permitted));
}

TEST_F(PolicyMigratorTest, choices_end_with_the_permission_to_choose) {
  const InodeNo dir = make_dir(root_, "d").ino;
  ASSERT_TRUE(call<fs::Empty>(fs::SetXattr{dir, "user.aster.policy", "large"}).ok());
  const InodeNo before = make(dir, "before").ino;
  store(before, 0, "data");
  ASSERT_EQ(under(2), 4u);
  restart_with(false);
  EXPECT_FALSE(make(dir, "after").own_policy);
  EXPECT_FALSE(make_dir(dir, "e").own_policy);
  EXPECT_GT(call<fs::UploadGrants>(fs::Grant{dir, 1, 1})->shared_up_to, 0u);
  store(before, 4, "more");
  store(make(dir, "later").ino, 0, "data");
  EXPECT_EQ(under(2), 4u) << "what was stored stays, what is new goes where all goes";
  EXPECT_EQ(under(1), 8u);
  ASSERT_TRUE(call<fs::Empty>(fs::RemoveXattr{dir, "user.aster.policy"}).ok());
}

TEST_F(PolicyMigratorTest, choices_count_again_with_the_permission) {
  const InodeNo dir = make_dir(root_, "d").ino;
  ASSERT_TRUE(call<fs::Empty>(fs::SetXattr{dir, "user.aster.policy", "large"}).ok());
  restart_with(false);
  restart_with(true);
  EXPECT_TRUE(make(dir, "after").own_policy);
}

}  // namespace
}  // namespace aster::primary
