#include <map>

#include "server/db/dead_objects.h"
#include "tests/support/namespace_fixture.h"

namespace aster::primary {
namespace {

using fs::Attr;

class CollectorTest : public testing::NamespaceFixture {
 protected:
  void SetUp() override {
    NamespaceFixture::SetUp();
    file_ = make(root_, "f").ino;
  }
  bool alive(InodeNo ino) { return call<Attr>(fs::GetAttr{ino}).ok(); }
  void unlink(bool hold = false) {
    ASSERT_TRUE(call<fs::Removed>(fs::Unlink{root_, "f", hold}).ok());
  }

  InodeNo file_;
};

TEST_F(CollectorTest, nameless_file_lives_through_its_grace) {
  ASSERT_TRUE(write(file_, 0, "bytes").ok());
  unlink();
  run_duties();
  EXPECT_EQ(content(file_), "bytes");
  clock_.advance(options_.orphan_grace);
  run_duties();
  EXPECT_FALSE(alive(file_));
  EXPECT_EQ(sql<int>("SELECT inodes FROM workspaces"), 1);
  EXPECT_EQ(sql<int>("SELECT bytes FROM workspaces"), 0);
  EXPECT_EQ(sql<int>("SELECT count(*) FROM extents"), 0);
}

TEST_F(CollectorTest, removed_file_frees_its_object_only_after_the_grace) {
  ASSERT_TRUE(write(file_, 0, "bytes").ok());
  unlink();
  clock_.advance(options_.orphan_grace);
  run_duties();
  EXPECT_EQ(backends_.count(), 1u);
  clock_.advance(options_.object_grace - std::chrono::seconds(1));
  run_duties();
  EXPECT_EQ(backends_.count(), 1u);
  clock_.advance(std::chrono::seconds(1));
  run_duties();
  EXPECT_EQ(backends_.count(), 0u);
  EXPECT_EQ(sql<int>("SELECT count(*) FROM objects"), 0);
  EXPECT_EQ(sql<int>("SELECT count(*) FROM object_checksums"), 0);
}

TEST_F(CollectorTest, held_file_lives_across_a_restart_until_release) {
  caller_ = open_session();
  ASSERT_TRUE(write(file_, 0, "bytes").ok());
  unlink(true);
  restart();
  clock_.advance(options_.orphan_grace * 2);
  service_->touch_session(caller_);
  run_duties();
  EXPECT_EQ(content(file_), "bytes");
  ASSERT_TRUE(write(file_, 5, " and more").ok());
  EXPECT_EQ(content(file_), "bytes and more");
  ASSERT_TRUE(call<fs::Empty>(fs::Release{file_}).ok());
  run_duties();
  EXPECT_FALSE(alive(file_));
}

TEST_F(CollectorTest, hold_of_another_session_counts) {
  const Caller writer = open_session();
  const Caller reader = open_session();
  unlink();
  ASSERT_TRUE(call_as<fs::Empty>(reader, fs::Hold{file_}).ok());
  clock_.advance(options_.orphan_grace);
  run_duties();
  EXPECT_TRUE(alive(file_));
  ASSERT_TRUE(run_blocking(service_->close_session(reader)).ok());
  run_duties();
  EXPECT_FALSE(alive(file_));
  EXPECT_TRUE(call_as<fs::Empty>(writer, fs::Hold{file_}).failed_with(Errc::stale_handle));
}

TEST_F(CollectorTest, hold_ends_with_its_silent_session) {
  caller_ = open_session();
  unlink(true);
  clock_.advance(options_.session_timeout + options_.orphan_grace);
  run_duties();
  EXPECT_FALSE(alive(file_));
  EXPECT_EQ(sql<int>("SELECT count(*) FROM holds"), 0);
}

TEST_F(CollectorTest, ended_sessions_cannot_hold) {
  const Caller gone = open_session();
  ASSERT_TRUE(run_blocking(service_->close_session(gone)).ok());
  EXPECT_TRUE(call_as<fs::Empty>(gone, fs::Hold{file_}).failed_with(Errc::stale_handle));
  ASSERT_TRUE(call_as<fs::Removed>(gone, fs::Unlink{root_, "f", true}).ok());
  EXPECT_EQ(sql<int>("SELECT count(*) FROM holds"), 0);
  EXPECT_TRUE(call<fs::Empty>(fs::Hold{root_}).failed_with(Errc::bad_request));
}

TEST_F(CollectorTest, unused_grants_are_collected_after_their_lifetime) {
  const fs::NewObject stray = upload(file_, "never committed");
  EXPECT_EQ(sql<int>("SELECT pending_objects FROM workspaces"), 1);
  clock_.advance(options_.grant_lifetime - std::chrono::seconds(1));
  run_duties();
  EXPECT_TRUE(backends_.get(stray.id));
  clock_.advance(std::chrono::seconds(1));
  run_duties();
  EXPECT_FALSE(backends_.get(stray.id));
  EXPECT_EQ(sql<int>("SELECT pending_objects FROM workspaces"), 0);
  fs::Commit late;
  late.ino = file_;
  late.objects = {stray};
  late.extents = {{0, stray.size, stray.id, 0}};
  EXPECT_TRUE(call<Attr>(late).failed_with(Errc::precondition_failed));
}

TEST_F(CollectorTest, object_used_again_within_its_grace_stays) {
  ASSERT_TRUE(write(file_, 0, "bytes").ok());
  const ObjectId id = manifest(file_).objects[0].id;
  fs::SetAttr cut;
  cut.ino = file_;
  cut.size = 0;
  ASSERT_TRUE(call<Attr>(cut).ok());
  fs::Commit again;
  again.ino = file_;
  again.extents = {{0, 5, id, 0}};
  ASSERT_TRUE(call<Attr>(again).ok());
  clock_.advance(options_.object_grace * 2);
  run_duties();
  EXPECT_EQ(content(file_), "bytes");
}

TEST_F(CollectorTest, failed_removal_is_tried_again_and_the_object_stays_dead) {
  ASSERT_TRUE(write(file_, 0, "bytes").ok());
  const ObjectId id = manifest(file_).objects[0].id;
  ASSERT_TRUE(write(file_, 0, "BYTES").ok());
  clock_.advance(options_.object_grace);
  backends_.knobs.lock()->remove_error = fail(Errc::unavailable, "follower is down");
  run_duties();
  EXPECT_TRUE(backends_.get(id));
  fs::Commit revive;
  revive.ino = file_;
  revive.extents = {{0, 5, id, 0}};
  EXPECT_TRUE(call<Attr>(revive).failed_with(Errc::precondition_failed));
  restart();
  backends_.knobs.lock()->remove_error.reset();
  clock_.advance(std::chrono::seconds(1));
  run_duties();
  EXPECT_FALSE(backends_.get(id));
  EXPECT_EQ(content(file_), "BYTES");
}

TEST_F(CollectorTest, what_cannot_be_removed_goes_on_saying_since_when) {
  const auto away = [&] { return sql<int>("SELECT count(*) FROM objects WHERE state=2"); };
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(write(file_, 0, std::string(1, static_cast<char>('A' + i))).ok());
  }
  clock_.advance(options_.object_grace);
  backends_.knobs.lock()->remove_error = fail(Errc::unavailable, "follower is down");
  run_duties();
  ASSERT_EQ(away(), 39);
  const auto since = sql<int64_t>("SELECT max(since) FROM objects WHERE state=2");
  EXPECT_EQ(since, clock_.now_ns());
  clock_.advance(std::chrono::hours(25));
  run_duties();
  run_duties();
  EXPECT_EQ(sql<int64_t>("SELECT max(since) FROM objects WHERE state=2"), since);
  const auto waiting = database_->read([&](db::Txn& txn) -> Result<uint64_t> {
    return db::count_dead_objects(txn, clock_.now_ns() - 24 * 3600 * int64_t{1'000'000'000});
  });
  EXPECT_EQ(*waiting, 39u);
  backends_.knobs.lock()->remove_error.reset();
  run_duties();
  EXPECT_EQ(away(), 0);
  EXPECT_EQ(content(file_), "h");
}

TEST_F(CollectorTest, every_dead_object_has_its_turn) {
  for (int i = 0; i < 600; ++i) ASSERT_TRUE(write(file_, 0, "x").ok());
  clock_.advance(options_.object_grace);
  backends_.knobs.lock()->remove_error = fail(Errc::unavailable, "follower is down");
  std::map<ObjectId, int> tried;
  backends_.knobs.lock()->before_remove = [&](const ObjectId& id) { ++tried[id]; };
  run_duties();
  EXPECT_LT(tried.size(), 599u) << "a round gives up after some failures";
  for (int round = 1; round < 3; ++round) run_duties();
  EXPECT_EQ(tried.size(), 599u);
  for (const auto& [id, times] : tried) ASSERT_LE(times, 2);
  backends_.knobs.lock()->remove_error.reset();
  run_duties();
  EXPECT_EQ(backends_.count(), 1u);
}

TEST_F(CollectorTest, inode_with_many_extents_goes_in_pieces) {
  const fs::NewObject object = upload(file_, "0123456789");
  fs::Commit commit;
  commit.ino = file_;
  commit.objects = {object};
  for (uint64_t i = 0; i < 2500; ++i) commit.extents.push_back({i * 4, 1, object.id, i % 9});
  ASSERT_TRUE(call<Attr>(commit).ok());
  unlink();
  clock_.advance(options_.orphan_grace);
  run_duties();
  EXPECT_FALSE(alive(file_));
  EXPECT_EQ(sql<int>("SELECT refs FROM objects"), 0);
  EXPECT_EQ(sql<int>("SELECT bytes FROM workspaces"), 0);
}

TEST_F(CollectorTest, duties_run_by_themselves_and_stop) {
  service_->start_duties();
  service_->start_duties();
  service_->stop();
  service_->stop();
  EXPECT_TRUE(alive(file_));
}

}  // namespace
}  // namespace aster::primary
