#include "server/db/backup.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "tests/support/namespace_fixture.h"

namespace aster::primary {
namespace {

namespace filesystem = std::filesystem;

class Backups : public testing::NamespaceFixture {
 protected:
  std::string database() const { return dir_ / "aster.db"; }
  Result<void> back_up(std::chrono::hours keep = std::chrono::hours(24)) {
    return db::back_up({database(), dir_ / "copy", keep}, clock_);
  }
  /// Ends the program, restores, starts it again.
  Result<db::Restored> restore(bool replace = true) {
    service_.reset();
    database_.reset();
    auto restored = db::restore({dir_ / "copy", database(), replace}, clock_);
    start();
    return restored;
  }
  std::string cursor() {
    return run_blocking(service_->open_session(caller_, {"test", ""}))->cursor;
  }
};

TEST_F(Backups, bring_back_what_was_there_as_another_history) {
  const InodeNo ino = make(root_, "f").ino;
  ASSERT_TRUE(write(ino, 0, "before").ok());
  const std::string epoch = cursor().substr(0, 32);
  ASSERT_TRUE(back_up().ok());
  struct stat st {};
  ASSERT_EQ(::stat((dir_ / "copy").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
  ASSERT_TRUE(write(ino, 0, "after!").ok());
  make(root_, "later");
  const auto restored = restore();
  ASSERT_TRUE(restored.ok()) << restored.error().message();
  EXPECT_TRUE(filesystem::exists(restored->moved_aside));
  EXPECT_EQ(content(ino), "before");
  EXPECT_TRUE(lookup(root_, "later").failed_with(Errc::not_found));
  EXPECT_NE(cursor().substr(0, 32), epoch);
  EXPECT_FALSE(filesystem::exists(database() + ".restoring"));
}

TEST_F(Backups, keep_the_objects_they_name_until_their_time_is_over) {
  const InodeNo ino = make(root_, "f").ino;
  ASSERT_TRUE(write(ino, 0, "before").ok());
  ASSERT_TRUE(back_up(std::chrono::hours(100)).ok());
  ASSERT_TRUE(call<fs::Removed>(fs::Unlink{root_, "f"}).ok());
  clock_.advance(options_.orphan_grace);
  run_duties();
  clock_.advance(options_.object_grace * 2);
  run_duties();
  EXPECT_EQ(backends_.count(), 1u);
  ASSERT_TRUE(restore().ok());
  EXPECT_EQ(content(ino), "before");
  run_duties();
  EXPECT_EQ(backends_.count(), 1u) << "also of the restored database";
  ASSERT_TRUE(call<fs::Removed>(fs::Unlink{root_, "f"}).ok());
  clock_.advance(options_.orphan_grace);
  run_duties();
  clock_.advance(std::chrono::hours(100));
  run_duties();
  EXPECT_EQ(backends_.count(), 0u);
}

TEST_F(Backups, collect_what_was_garbage_before) {
  ASSERT_TRUE(write(make(root_, "f").ino, 0, "before").ok());
  ASSERT_TRUE(call<fs::Removed>(fs::Unlink{root_, "f"}).ok());
  clock_.advance(options_.orphan_grace);
  run_duties();
  clock_.advance(std::chrono::minutes(10) + std::chrono::seconds(1));
  ASSERT_TRUE(back_up().ok());
  clock_.advance(options_.object_grace);
  run_duties();
  EXPECT_EQ(backends_.count(), 0u);
}

TEST_F(Backups, keep_what_a_duty_drops_that_began_before_them) {
  const InodeNo ino = make(root_, "f").ino;
  ASSERT_TRUE(write(ino, 0, std::string(kBlockSize, 'a')).ok());
  ASSERT_TRUE(write(ino, kBlockSize, "tail", true).ok());
  const std::string bytes = content(ino);
  const int64_t began = clock_.now_ns();
  clock_.advance(std::chrono::seconds(90));
  ASSERT_TRUE(back_up(std::chrono::hours(100)).ok());
  // What a composition does that took its time, then waited for the lock until the copy was made.
  clock_.advance(options_.compose_delay);
  run_duties();
  ASSERT_EQ(manifest(ino).extents.size(), 1u);
  const auto late = run_blocking(database_->write([began](db::Txn& txn) -> Result<int64_t> {
    return txn.exec("UPDATE objects SET since=?1 WHERE refs=0 AND state=1", began);
  }));
  ASSERT_TRUE(late.ok());
  ASSERT_EQ(*late, 2);
  clock_.advance(options_.object_grace * 2);
  run_duties();
  ASSERT_TRUE(restore().ok());
  ASSERT_EQ(manifest(ino).extents.size(), 2u) << "the copy names the parts";
  EXPECT_EQ(content(ino), bytes);
}

TEST_F(Backups, keep_parts_whose_composition_lost_its_answer) {
  const InodeNo ino = make(root_, "f").ino;
  ASSERT_TRUE(write(ino, 0, std::string(kBlockSize, 'a')).ok());
  ASSERT_TRUE(write(ino, kBlockSize, "tail", true).ok());
  const std::string bytes = content(ino);
  ASSERT_TRUE(back_up(std::chrono::hours(100)).ok());
  backends_.knobs.lock()->compose_loses_answer = true;
  clock_.advance(options_.compose_delay);
  run_duties();
  for (int round = 0; round < 3; ++round) {
    clock_.advance(options_.object_grace * 2);
    run_duties();
  }
  ASSERT_EQ(manifest(ino).extents.size(), 1u);
  EXPECT_EQ(backends_.count(), 3u) << "the whole and the parts, which the backup names";
  ASSERT_TRUE(restore().ok());
  ASSERT_EQ(manifest(ino).extents.size(), 2u) << "the copy names the parts";
  EXPECT_EQ(content(ino), bytes);
}

TEST_F(Backups, let_go_of_such_parts_when_their_time_is_over) {
  const InodeNo ino = make(root_, "f").ino;
  ASSERT_TRUE(write(ino, 0, std::string(kBlockSize, 'a')).ok());
  ASSERT_TRUE(write(ino, kBlockSize, "tail", true).ok());
  const std::string bytes = content(ino);
  ASSERT_TRUE(back_up(std::chrono::hours(100)).ok());
  backends_.knobs.lock()->compose_loses_answer = true;
  clock_.advance(options_.compose_delay);
  run_duties();
  run_duties();
  ASSERT_EQ(manifest(ino).extents.size(), 1u);
  clock_.advance(std::chrono::hours(100));
  run_duties();
  EXPECT_EQ(backends_.count(), 1u);
  EXPECT_EQ(content(ino), bytes);
}

TEST_F(Backups, have_everything_that_was_answered_before_they_began) {
  std::atomic<int> answered{0};
  std::jthread writer([&](std::stop_token stop) {
    while (!stop.stop_requested()) {
      const std::string name = "f" + std::to_string(answered);
      if (!call<fs::Attr>(fs::Create{root_, name}).ok()) return;
      ++answered;
    }
  });
  while (answered < 50) std::this_thread::yield();
  const int before = answered;
  ASSERT_TRUE(back_up().ok());
  writer.request_stop();
  writer.join();
  ASSERT_TRUE(restore().ok());
  for (int i = 0; i < before; ++i) {
    EXPECT_TRUE(lookup(root_, "f" + std::to_string(i)).ok()) << i;
  }
}

TEST_F(Backups, restored_by_root_belong_to_the_user_of_the_server) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  constexpr uid_t kServer = 64'123;
  constexpr gid_t kGroup = 64'124;
  ASSERT_TRUE(back_up().ok());
  ::chmod((dir_ / "copy").c_str(), 0644);
  service_.reset();
  database_.reset();
  const auto owner_after = [&](const filesystem::path& database) {
    EXPECT_TRUE(db::restore({dir_ / "copy", database, true}, clock_).ok());
    struct stat st {};
    EXPECT_EQ(::stat(database.c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 0777, 0600u) << "whatever the copy's is";
    return std::pair(st.st_uid, st.st_gid);
  };
  ASSERT_EQ(::chown(database().c_str(), kServer, kGroup), 0);
  EXPECT_EQ(owner_after(database()), std::pair(kServer, kGroup)) << "of the one that was there";
  filesystem::create_directory(dir_ / "fresh");
  ASSERT_EQ(::chown((dir_ / "fresh").c_str(), kGroup, kServer), 0);
  EXPECT_EQ(owner_after(dir_ / "fresh/aster.db"), std::pair(kGroup, kServer)) << "of the folder";
  start();
}

TEST_F(Backups, write_through_no_link) {
  make(root_, "f");
  ASSERT_TRUE(back_up().ok());
  testing::write_file(dir_ / "precious", "precious");
  filesystem::create_symlink(dir_ / "precious", database() + ".restoring");
  ASSERT_TRUE(restore().ok());
  EXPECT_EQ(testing::read_file(dir_ / "precious"), "precious");
  EXPECT_TRUE(lookup(root_, "f").ok());
}

TEST_F(Backups, overwrite_nothing) {
  ASSERT_TRUE(back_up().ok());
  EXPECT_TRUE(back_up().failed_with(Errc::exists));
  EXPECT_TRUE(restore(false).failed_with(Errc::exists));
  EXPECT_TRUE(lookup(root_, "f").failed_with(Errc::not_found)) << "still in use";
}

TEST_F(Backups, are_not_restored_below_a_running_server) {
  make(root_, "f");
  ASSERT_TRUE(back_up().ok());
  const auto restored = db::restore({dir_ / "copy", database(), true}, clock_);
  EXPECT_TRUE(restored.failed_with(Errc::unavailable));
  EXPECT_TRUE(lookup(root_, "f").ok());
}

TEST_F(Backups, that_are_damaged_or_missing_change_nothing) {
  make(root_, "f");
  EXPECT_TRUE(restore().failed_with(Errc::not_found));
  ASSERT_TRUE(back_up().ok());
  std::fstream file(dir_ / "copy", std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(4096);
  file << std::string(4096, '\xff');
  file.close();
  EXPECT_TRUE(restore().failed_with(Errc::corrupt));
  EXPECT_TRUE(lookup(root_, "f").ok());
}

}  // namespace
}  // namespace aster::primary
