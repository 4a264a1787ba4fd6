#include "server/storage/s3_target.h"

#include <thread>

#include "tests/contract/ingress_target_fixture.h"
#include "tests/support/tcp_proxy.h"

/// The S3 target against a real server: what other drivers do not have, and what goes wrong.
namespace aster::testing {
namespace {

using storage::S3Target;

class S3TargetTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = S3Place::missing()) GTEST_SKIP() << *why;
    objects_ = std::make_unique<Objects<S3Place>>();
  }
  Objects<S3Place>& o() { return *objects_; }
  S3Target::Options options() { return o().place().options(); }
  Result<void> check(S3Target::Options options) {
    const auto target = o().place().open_with(std::move(options));
    return target ? run_blocking(target->check()) : fail(Errc::internal);
  }

 private:
  std::unique_ptr<Objects<S3Place>> objects_;
};

TEST_F(S3TargetTest, check_passes_and_leaves_nothing) {
  const Result<void> good = check(options());
  EXPECT_TRUE(good.ok()) << good.error().message();
  EXPECT_EQ(o().keys(), std::vector<std::string>{});
  EXPECT_EQ(o().leftovers(), 0u);
}

TEST_F(S3TargetTest, check_says_what_is_wrong_without_the_identity) {
  S3Target::Options wrong = options();
  wrong.secret_key = "another-secret";
  const Result<void> secret = check(wrong);
  EXPECT_TRUE(secret.failed_with(Errc::access_denied)) << secret.error().message();
  EXPECT_NE(secret.error().context.find("check the access key"), std::string::npos);

  wrong = options();
  wrong.access_key = "NOBODY";
  const Result<void> user = check(wrong);
  EXPECT_TRUE(user.failed_with(Errc::access_denied)) << user.error().message();

  wrong = options();
  wrong.bucket = "no-such-bucket";
  const Result<void> bucket = check(wrong);
  EXPECT_TRUE(bucket.failed_with(Errc::precondition_failed)) << bucket.error().message();
  EXPECT_NE(bucket.error().context.find("NoSuchBucket"), std::string::npos);

  for (const Result<void>* outcome : {&secret, &user, &bucket}) {
    EXPECT_EQ(outcome->error().context.find("another-secret"), std::string::npos);
    EXPECT_EQ(outcome->error().context.find(S3Server::kAccessKey), std::string::npos);
    EXPECT_EQ(outcome->error().context.find("NOBODY"), std::string::npos);
    EXPECT_EQ(outcome->error().context.find(S3Server::kSecretKey), std::string::npos);
  }
}

TEST_F(S3TargetTest, a_lost_bucket_is_no_lost_object) {
  S3Target::Options wrong = options();
  wrong.bucket = "no-such-bucket";
  o().use(o().place().open_with(wrong));
  const auto store = o().store();
  EXPECT_TRUE(run_blocking(store.stat("k")).failed_with(Errc::precondition_failed));
  EXPECT_TRUE(run_blocking(store.open("k")).failed_with(Errc::precondition_failed));
  EXPECT_TRUE(run_blocking(store.remove("k")).failed_with(Errc::precondition_failed));
  EXPECT_TRUE(run_blocking(store.list("", 0, 5)).failed_with(Errc::precondition_failed));
  EXPECT_TRUE(o().put("k", "x").failed_with(Errc::precondition_failed));
}

TEST_F(S3TargetTest, an_unreachable_service_is_unavailable) {
  TcpProxy proxy(o().place().server().port());
  proxy.cut();
  S3Target::Options far = options();
  far.endpoint = S3Server::endpoint_at(proxy.port());
  o().use(o().place().open_with(far));
  EXPECT_TRUE(run_blocking(o().store().stat("k")).failed_with(Errc::unavailable));
  EXPECT_TRUE(o().put("k", "x").failed_with(Errc::unavailable));
}

TEST_F(S3TargetTest, a_wrong_region_is_said_or_learned) {
  S3Target::Options other = options();
  other.endpoint = "http://127.0.0.1:" + std::to_string(o().place().server().port());
  const Result<void> outcome = check(other);
  // A service that names its region is followed; one that does not is quoted.
  if (!outcome.ok()) {
    EXPECT_TRUE(outcome.failed_with(Errc::precondition_failed)) << outcome.error().message();
    EXPECT_NE(outcome.error().context.find("region"), std::string::npos);
  }
}

TEST_F(S3TargetTest, objects_are_files_of_the_bucket_under_the_prefix) {
  ASSERT_TRUE(o().put("files/k", "bytes").ok());
  EXPECT_EQ(read_file(o().place().folder() / "ns/files/k"), "bytes");
}

TEST_F(S3TargetTest, keys_beyond_the_limit_of_s3_are_refused_at_once) {
  const std::string long_key = std::string(500, 'a') + "/" + std::string(520, 'b');
  EXPECT_TRUE(o().put(long_key, "x").failed_with(Errc::name_too_long));
  EXPECT_TRUE(run_blocking(o().store().stat(long_key)).failed_with(Errc::name_too_long));
}

TEST_F(S3TargetTest, reading_a_replaced_object_fails_and_never_mixes) {
  ASSERT_TRUE(o().put("k", noise(3'000'000, 1)).ok());
  const auto before = run_blocking(o().store().open("k"));
  ASSERT_TRUE(before.ok());
  ASSERT_TRUE(o().put("k", noise(3'000'000, 2)).ok());
  const auto bytes = Objects<S3Place>::read(*before, 0, before->size);
  EXPECT_TRUE(bytes.failed_with(Errc::stale_version)) << bytes.ok();
}

TEST_F(S3TargetTest, a_read_goes_on_after_a_lost_connection) {
  const std::string text = noise(48 << 20, 5);  // more than sockets buffer
  ASSERT_TRUE(o().put("k", text).ok());
  TcpProxy proxy(o().place().server().port());
  S3Target::Options far = options();
  far.endpoint = S3Server::endpoint_at(proxy.port());
  o().use(o().place().open_with(far));
  const auto object = run_blocking(o().store().open("k"));
  ASSERT_TRUE(object.ok()) << object.error().message();
  const auto source = object->stream(0, object->size);
  std::string got;
  bool cut = false;
  std::jthread mender;
  for (;;) {
    std::byte piece[65'536];
    const auto n = run_blocking(source->read(piece));
    ASSERT_TRUE(n.ok()) << n.error().message();
    if (*n == 0) break;
    got += as_text(ByteView(piece).first(*n));
    if (got.size() > 1'000'000 && !std::exchange(cut, true)) {
      proxy.cut();
      mender = std::jthread([&proxy] {  // once the loss was noticed
        while (proxy.connections() < 2) std::this_thread::yield();
        proxy.restore();
      });
    }
  }
  EXPECT_TRUE(got == text);
  EXPECT_GE(proxy.connections(), 2u);
}

TEST_F(S3TargetTest, an_upload_whose_service_dies_leaves_nothing) {
  TcpProxy proxy(o().place().server().port());
  S3Target::Options far = options();
  far.endpoint = S3Server::endpoint_at(proxy.port());
  const auto target = o().place().open_with(far);
  const std::string text = noise(16'000'000, 9);
  {
    auto staged = run_blocking(target->stage("ns/k", text.size()));
    ASSERT_TRUE(staged.ok());
    ASSERT_TRUE(run_blocking((*staged)->write(as_bytes(text).first(11'000'000))).ok());
    EXPECT_EQ(o().place().server().open_uploads(), 1u);
    proxy.cut();
    const auto rest = run_blocking((*staged)->write(as_bytes(text).subspan(11'000'000)));
    const auto committed = run_blocking((*staged)->commit());
    EXPECT_FALSE(rest.ok() && committed.ok());
    proxy.restore();
  }
  EXPECT_EQ(o().leftovers(), 0u);
  EXPECT_TRUE(run_blocking(o().store().stat("k")).failed_with(Errc::not_found));
}

TEST_F(S3TargetTest, leftovers_of_a_dead_process_go_but_only_below_the_folder) {
  const auto client_options = options();
  const auto target = o().place().open_with(client_options);
  const std::string text = noise(11'000'000, 9);
  auto mine = run_blocking(target->stage("ns/dead", text.size()));
  auto other = run_blocking(target->stage("ns-2/alive", text.size()));
  ASSERT_TRUE(run_blocking((*mine)->write(as_bytes(text).first(6'000'000))).ok());
  ASSERT_TRUE(run_blocking((*other)->write(as_bytes(text))).ok());
  EXPECT_EQ(o().place().server().open_uploads(), 2u);
  const auto cleaned = run_blocking(target->abort_leftovers("ns", CancelToken()));
  ASSERT_TRUE(cleaned.ok()) << cleaned.error().message();
  EXPECT_EQ(o().place().server().open_uploads(), 1u);
  EXPECT_TRUE(run_blocking((*other)->commit()).ok());
  EXPECT_EQ(*run_blocking(target->stat("ns-2/alive")), text.size());
}

TEST_F(S3TargetTest, memory_stays_within_the_budget_with_many_uploads) {
  std::vector<std::jthread> writers;
  for (unsigned i = 0; i < 6; ++i) {
    writers.emplace_back([this, i] {
      EXPECT_TRUE(o().put("k" + std::to_string(i), noise(12'000'000, i)).ok());
      EXPECT_LE(o().place().runtime().memory_in_use(), 24u << 20);
    });
  }
  writers.clear();
  for (unsigned i = 0; i < 6; ++i) {
    EXPECT_TRUE(o().get("k" + std::to_string(i)) == noise(12'000'000, i));
  }
}

TEST_F(S3TargetTest, compose_in_one_bucket_moves_no_bytes_through_us) {
  TcpProxy proxy(o().place().server().port());
  S3Target::Options far = options();
  far.endpoint = S3Server::endpoint_at(proxy.port());
  ASSERT_TRUE(o().put("p/1", noise(8'000'000, 1)).ok());
  ASSERT_TRUE(o().put("p/2", noise(6'000'000, 2)).ok());
  o().use(o().place().open_with(far));
  ASSERT_TRUE(o().compose("w", {"p/1", "p/2"}, 14'000'000).ok());
  EXPECT_LT(proxy.bytes_from_target() + proxy.bytes_to_target(), 100'000u);
  EXPECT_TRUE(o().get("w") == noise(8'000'000, 1) + noise(6'000'000, 2));
}

}  // namespace
}  // namespace aster::testing
