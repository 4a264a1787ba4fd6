#include "protocol/sign/signature.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/support/fake_clock.h"

namespace aster::sign {
namespace {

constexpr std::string_view kTarget = "/api/v1/internal/storage/objects/a?x=1";

/// A primary and a follower that share one key.
struct Pair {
  testing::FakeClock clock;
  MemoryNonceStore nonces{clock, 3};
  Signer signer{{"rn_1", "rns_1"}, clock};
  Verifier verifier{[](std::string_view key) -> std::optional<KeyRecord> {
                      if (key != "rn_1") return std::nullopt;
                      return KeyRecord{"rns_1", true};
                    },
                    nonces, clock};
};

TEST(Signer, makes_what_the_verifier_takes) {
  Pair p;
  const Headers headers = p.signer.sign("PUT", kTarget, 5);
  const auto got = p.verifier.verify(ReceivedRequest::from("PUT", kTarget, headers, 5));
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(*got, "rn_1");
}

TEST(Verifier, sees_every_change_of_what_is_signed) {
  Pair p;
  const Headers headers = p.signer.sign("PUT", kTarget, 5);
  const auto code = [&](std::string_view method, std::string_view target,
                        std::optional<uint64_t> length) {
    const auto got = p.verifier.verify(ReceivedRequest::from(method, target, headers, length));
    return got.ok() ? ApiCode::success : got.error().code;
  };
  EXPECT_EQ(code("GET", kTarget, 5), ApiCode::auth_credentials_failed);
  EXPECT_EQ(code("PUT", "/api/v1/internal/storage/objects/a?x=2", 5),
            ApiCode::auth_credentials_failed);
  EXPECT_EQ(code("PUT", kTarget, 6), ApiCode::auth_credentials_failed);
  EXPECT_EQ(code("PUT", kTarget, std::nullopt), ApiCode::auth_credentials_failed);
  Headers swapped = headers;
  swapped[2].second = "another-nonce";
  EXPECT_FALSE(p.verifier.verify(ReceivedRequest::from("PUT", kTarget, swapped, 5)).ok());
  EXPECT_EQ(p.nonces.size(), 0u) << "a wrong signature must not use up a nonce";
  EXPECT_EQ(code("PUT", kTarget, 5), ApiCode::success);
  EXPECT_EQ(code("PUT", kTarget, 5), ApiCode::auth_token_invalid);
}

TEST(Verifier, refuses_a_replay_as_long_as_its_date_is_good) {
  Pair p;
  p.clock.advance(std::chrono::seconds(300));
  const Headers early = p.signer.sign("GET", kTarget, std::nullopt);
  p.clock.advance(std::chrono::seconds(-300));  // the sender's clock is 300 s ahead
  const auto request = ReceivedRequest::from("GET", kTarget, early, std::nullopt);
  EXPECT_TRUE(p.verifier.verify(request).ok());
  for (int i = 0; i < 7; ++i) {
    EXPECT_FALSE(p.verifier.verify(request).ok());
    p.clock.advance(std::chrono::seconds(100));
  }
}

TEST(Verifier, refuses_when_the_nonce_store_is_full_until_entries_expire) {
  Pair p;
  const auto call = [&] {
    const Headers headers = p.signer.sign("GET", kTarget, std::nullopt);
    return p.verifier.verify(ReceivedRequest::from("GET", kTarget, headers, std::nullopt));
  };
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(call().ok());
  EXPECT_TRUE(call().failed_with(ApiCode::rate_limited));
  p.clock.advance(std::chrono::seconds(601));
  EXPECT_TRUE(call().ok());
  EXPECT_EQ(p.nonces.size(), 1u);
}

TEST(Verifier, survives_hostile_headers) {
  Pair p;
  for (const std::string& stamp :
       {std::string("-9223372036854775808"), std::string("9223372036854775807"),
        std::string("99999999999999999999"), std::string(" 1"), std::string("1e9")}) {
    Headers headers = p.signer.sign("GET", kTarget, std::nullopt);
    headers[1].second = stamp;
    const auto got = p.verifier.verify(ReceivedRequest::from("GET", kTarget, headers, {}));
    EXPECT_TRUE(got.failed_with(ApiCode::auth_token_invalid)) << stamp;
  }
  Headers headers = p.signer.sign("GET", kTarget, std::nullopt);
  headers[2].second = std::string(10'000, 'n');
  EXPECT_TRUE(p.verifier.verify(ReceivedRequest::from("GET", kTarget, headers, {}))
                  .failed_with(ApiCode::auth_token_invalid));
  EXPECT_TRUE(p.verifier.verify(ReceivedRequest::from("GET", kTarget, {}, {}))
                  .failed_with(ApiCode::auth_token_invalid));
}

TEST(Presign, is_bound_to_method_and_target) {
  Pair p;
  const std::string url = p.signer.presign("GET", "/o/a?offset=0", 1'780'000'100);
  EXPECT_TRUE(p.verifier.verify_presigned("GET", url).ok());
  EXPECT_TRUE(
      p.verifier.verify_presigned("PUT", url).failed_with(ApiCode::auth_credentials_failed));
  EXPECT_TRUE(p.verifier.verify_presigned("HEAD", url).failed_with(ApiCode::auth_token_invalid));
  std::string other = url;
  other[3] = 'b';
  EXPECT_FALSE(p.verifier.verify_presigned("GET", other).ok());
}

TEST(Presign, a_parameter_given_twice_is_refused) {
  Pair p;
  const std::string url = p.signer.presign("PUT", "/o/a", 1'780'000'100);
  EXPECT_TRUE(p.verifier.verify_presigned("PUT", url + "&aster_expires=9999999999")
                  .failed_with(ApiCode::auth_token_invalid));
  EXPECT_TRUE(p.verifier.verify_presigned("PUT", "/o/a").failed_with(ApiCode::auth_token_invalid));
  EXPECT_TRUE(p.verifier.verify_presigned("PUT", "/o/a?").failed_with(ApiCode::auth_token_invalid));
}

TEST(Proof, is_chosen_by_method_header_and_query) {
  const auto choose = [](std::string_view method, std::string_view target, bool header) {
    Headers headers;
    if (header) headers.emplace_back("X-Aster-Signature", "00");
    return choose_proof(ReceivedRequest::from(method, target, headers, std::nullopt));
  };
  EXPECT_EQ(choose("PUT", "/o/a", true), Proof::signed_headers);
  EXPECT_EQ(choose("PUT", "/o/a", false), Proof::presigned_query);
  EXPECT_EQ(choose("GET", "/o/a", false), Proof::signed_headers);
  EXPECT_EQ(choose("GET", "/o/a?x=1&aster_access_key", false), Proof::presigned_query);
  EXPECT_EQ(choose("GET", "/o/a?xaster_access_key=1", false), Proof::signed_headers);
  EXPECT_EQ(choose("GET", "/o/a?aster_access_key=k", true), Proof::signed_headers);
  EXPECT_EQ(choose("DELETE", "/o/a?aster_access_key=k", false), Proof::signed_headers);
}

TEST(MemoryNonceStore, lets_one_of_many_threads_in) {
  testing::FakeClock clock;
  MemoryNonceStore store(clock, 1000);
  for (int round = 0; round < 50; ++round) {
    std::atomic<int> accepted = 0;
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        const auto fresh = store.insert("k", std::to_string(round), clock.now_seconds() + 600);
        if (*fresh) ++accepted;
      });
    }
    threads.clear();
    EXPECT_EQ(accepted, 1);
  }
}

TEST(MemoryNonceStore, keys_do_not_share_nonces) {
  testing::FakeClock clock;
  MemoryNonceStore store(clock, 10);
  const int64_t expiry = clock.now_seconds() + 600;
  EXPECT_TRUE(*store.insert("a", "bc", expiry));
  EXPECT_TRUE(*store.insert("ab", "c", expiry));
  EXPECT_FALSE(*store.insert("a", "bc", expiry));
}

}  // namespace
}  // namespace aster::sign
