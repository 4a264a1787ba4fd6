#include "server/follower/nonce_log.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "tests/support/fake_clock.h"
#include "tests/support/temp_dir.h"

namespace aster::follower {
namespace {

class Nonces : public ::testing::Test {
 protected:
  Nonces() { restart(); }
  void restart(const std::string& boot = "boot-1") {
    log_.reset();
    auto opened = NonceLog::open(dir_.path().string(), clock_, boot);
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    log_ = std::move(*opened);
  }
  bool fresh(std::string_view key, std::string_view nonce) {
    const auto inserted = log_->insert(key, nonce, clock_.now_seconds() + 600);
    EXPECT_TRUE(inserted.ok());
    return inserted.ok() && *inserted;
  }

  testing::TempDir dir_;
  testing::FakeClock clock_;
  std::unique_ptr<NonceLog> log_;
};

TEST_F(Nonces, are_fresh_once_for_each_key) {
  EXPECT_TRUE(fresh("k", "n"));
  EXPECT_FALSE(fresh("k", "n"));
  EXPECT_TRUE(fresh("k2", "n"));
  EXPECT_TRUE(fresh("kn", ""));
}

TEST_F(Nonces, survive_restarts_for_their_whole_life) {
  EXPECT_TRUE(fresh("k", "n"));
  for (int i = 0; i < 6; ++i) {
    clock_.advance(std::chrono::seconds(100));
    restart();
    EXPECT_FALSE(fresh("k", "n")) << i;
  }
  clock_.advance(std::chrono::seconds(2));
  restart();
  EXPECT_TRUE(fresh("k", "n"));
  EXPECT_EQ(log_->refused_before(), 0);
}

TEST_F(Nonces, survive_the_change_of_files) {
  for (int i = 0; i < 30; ++i) {
    EXPECT_TRUE(fresh("k", "n" + std::to_string(i)));
    clock_.advance(std::chrono::seconds(100));
  }
  restart();
  for (int i = 24; i < 30; ++i) EXPECT_FALSE(fresh("k", "n" + std::to_string(i))) << i;
  EXPECT_TRUE(fresh("k", "n0"));
}

TEST_F(Nonces, files_stay_bounded) {
  for (int i = 0; i < 20'000; ++i) {
    EXPECT_TRUE(fresh("k", std::to_string(i)));
    clock_.advance(std::chrono::seconds(1));
  }
  uintmax_t bytes = 0;
  for (const auto& file : std::filesystem::directory_iterator(dir_.path())) {
    bytes += file.file_size();
  }
  EXPECT_LT(bytes, 2 * 700 * 24u);
}

TEST_F(Nonces, old_stamps_are_refused_after_a_crash_of_the_machine) {
  fresh("k", "n");
  clock_.advance(std::chrono::seconds(10));
  restart("boot-2");
  const int64_t floor = clock_.now_seconds();
  EXPECT_EQ(log_->refused_before(), floor);
  EXPECT_FALSE(fresh("k", "n")) << "what was written is still known";
  clock_.advance(std::chrono::seconds(10));
  restart("boot-2");
  EXPECT_EQ(log_->refused_before(), floor) << "another restart does not forget it";
}

TEST_F(Nonces, old_stamps_are_refused_after_records_were_lost_or_damaged) {
  fresh("k", "n");
  log_.reset();
  std::string bytes = testing::read_file(dir_ / "nonces-0.log");
  bytes[44] = 1;
  testing::write_file(dir_ / "nonces-0.log", bytes);
  restart();
  EXPECT_EQ(log_->refused_before(), clock_.now_seconds());
  log_.reset();
  testing::write_file(dir_ / "nonces-0.log", "garbage");
  clock_.advance(std::chrono::seconds(5));
  restart();
  EXPECT_EQ(log_->refused_before(), clock_.now_seconds());
}

TEST_F(Nonces, a_torn_last_record_is_skipped) {
  fresh("k", "n");
  log_.reset();
  std::string bytes = testing::read_file(dir_ / "nonces-0.log");
  testing::write_file(dir_ / "nonces-0.log", bytes + "torn");
  restart();
  EXPECT_FALSE(fresh("k", "n"));
  EXPECT_TRUE(fresh("k", "m"));
}

TEST_F(Nonces, are_accepted_by_exactly_one_of_many_threads) {
  std::atomic<int> accepted = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 200; ++i) accepted += fresh("k", std::to_string(i));
      });
    }
  }
  EXPECT_EQ(accepted, 200);
}

}  // namespace
}  // namespace aster::follower
