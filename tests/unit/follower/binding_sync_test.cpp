#include "server/follower/binding_sync.h"

#include <gtest/gtest.h>

#include "protocol/envelope.h"
#include "protocol/sign/signature.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_http_client.h"
#include "tests/support/temp_dir.h"

namespace aster::follower {
namespace {

using testing::FakeHttpClient;

class BindingPull : public ::testing::Test {
 protected:
  BindingPull() {
    auto opened = BindingStore::open(path(), clock_);
    EXPECT_TRUE(opened.ok());
    store_ = std::move(*opened);
    enroll(*store_, "rn_one");
    sync_.emplace(BindingSync::Parts{*store_, http_, executor_, clock_, std::chrono::hours(1)});
  }
  std::string path() const { return (dir_ / "f.db").string(); }
  static void enroll(BindingStore& store, const std::string& key) {
    ASSERT_TRUE(store
                    .enroll({.name = "node",
                             .master_url = "http://p/sub",
                             .access_key = key,
                             .secret_key = "s-" + key,
                             .is_enabled = true,
                             .resolved_transport = "direct",
                             .desired_revision = 4})
                    .ok());
  }
  void answer_state(int64_t revision, bool enabled, Dialect dialect = Dialect::str) {
    const BindingState state{"renamed", enabled, "direct", revision};
    http_.answer(200, encode_success(dialect, to_json(state)));
  }
  Binding binding() { return *store_->find("rn_one"); }
  void round() { run_blocking(sync_->round()); }

  testing::TempDir dir_;
  testing::FakeClock clock_;
  Executor executor_{{.name = "sync"}};
  FakeHttpClient http_;
  std::unique_ptr<BindingStore> store_;
  std::optional<BindingSync> sync_;
};

TEST_F(BindingPull, signs_the_bare_path_and_tells_the_revision) {
  answer_state(4, true);
  round();
  const auto seen = http_.requests().at(0);
  const std::string target =
      "/api/v1/internal/remote-node-control/binding-state?applied_revision=4";
  EXPECT_EQ(seen.method, "GET");
  EXPECT_EQ(seen.url, "http://p/sub" + target);
  sign::MemoryNonceStore nonces(clock_);
  const sign::Verifier verifier(
      [](std::string_view) { return sign::KeyRecord{.secret = "s-rn_one"}; }, nonces, clock_);
  const auto proof = sign::ReceivedRequest::from("GET", target, seen.headers, std::nullopt);
  EXPECT_TRUE(verifier.verify(proof).ok());
}

TEST_F(BindingPull, takes_over_a_newer_state_and_leaves_an_older_one) {
  answer_state(5, false);
  round();
  EXPECT_EQ(binding().name, "renamed");
  EXPECT_FALSE(binding().is_enabled);
  EXPECT_EQ(binding().desired_revision, 5);
  answer_state(4, true);
  round();
  EXPECT_FALSE(binding().is_enabled);
  answer_state(6, true, Dialect::num);
  round();
  EXPECT_TRUE(binding().is_enabled) << "a disabled binding must learn that it is enabled again";
}

TEST_F(BindingPull, asks_a_primary_that_is_too_old_seldom) {
  http_.otherwise([](const auto&) {
    return Result<HttpClientResponse>(FakeHttpClient::made(
        404, encode_error(Dialect::num, ApiError(ApiCode::endpoint_not_found))));
  });
  for (int i = 0; i < 10; ++i) round();
  EXPECT_EQ(http_.request_count(), 1u);
  round();
  EXPECT_EQ(http_.request_count(), 2u);
  EXPECT_EQ(binding().name, "node");
}

TEST_F(BindingPull, keeps_its_state_through_every_failure) {
  http_.fail_with(Errc::unavailable);
  http_.answer(200, "no JSON");
  http_.answer(200, encode_success(Dialect::str, R"({"name":1})"));
  http_.answer(401, encode_error(Dialect::str, ApiError(ApiCode::auth_credentials_failed)));
  for (int i = 0; i < 4; ++i) round();
  EXPECT_EQ(http_.request_count(), 4u);
  EXPECT_EQ(binding().name, "node");
  EXPECT_TRUE(binding().is_enabled);
}

TEST_F(BindingPull, finds_a_binding_that_another_process_added) {
  const auto other = BindingStore::open(path(), clock_);
  enroll(**other, "rn_two");
  EXPECT_FALSE(store_->find("rn_two"));
  round();
  EXPECT_TRUE(store_->find("rn_two"));
}

TEST_F(BindingPull, stops_in_the_middle_of_a_call) {
  http_.hold([](const auto&) { return Result<HttpClientResponse>(fail(Errc::internal, "?")); });
  sync_->start();
  while (http_.request_count() == 0) std::this_thread::yield();
  sync_->stop();
}

}  // namespace
}  // namespace aster::follower
