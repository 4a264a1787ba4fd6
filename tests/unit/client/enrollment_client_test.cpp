#include "protocol/client/enrollment_client.h"

#include <gtest/gtest.h>

#include "protocol/envelope.h"
#include "tests/support/fake_http_client.h"

namespace aster {
namespace {

constexpr const char* kAnswer =
    R"({"remote_node_id":1,"remote_node_name":"n","master_url":"http://p","access_key":"k",
        "secret_key":"s","is_enabled":true,"ack_token":"t"})";

struct EnrollmentFixture {
  testing::FakeHttpClient http;
  Executor executor{{.name = "test", .threads = 1}};
  EnrollmentClient client{"http://primary/drive", http, executor};
};

TEST(EnrollmentClient, takes_answers_of_both_dialects) {
  for (const Dialect dialect : {Dialect::num, Dialect::str}) {
    EnrollmentFixture f;
    f.http.answer(200, encode_success(dialect, kAnswer));
    const auto got = run_blocking(f.client.redeem("enr_1"));
    ASSERT_TRUE(got.ok());
    EXPECT_EQ(got->secret_key, "s");
    f.http.answer(200, encode_success(dialect));
    EXPECT_TRUE(run_blocking(f.client.acknowledge(got->ack_token)).ok());
    const auto seen = f.http.requests();
    EXPECT_EQ(seen[0].url, "http://primary/drive/api/v1/public/remote-enrollment/redeem");
    EXPECT_EQ(seen[0].body, R"({"token":"enr_1"})");
    EXPECT_EQ(*find_header(seen[0].headers, "User-Agent"), "AsterDrive/0.5.0");
    EXPECT_EQ(seen[1].url, "http://primary/drive/api/v1/public/remote-enrollment/ack");
    EXPECT_EQ(seen[1].body, R"({"ack_token":"t"})");
  }
}

TEST(EnrollmentClient, hands_the_primarys_words_on_and_no_token) {
  EnrollmentFixture f;
  f.http.answer(400,
                encode_error(Dialect::str, {ApiCode::bad_request, "enrollment token has expired"}));
  const auto got = run_blocking(f.client.redeem("enr_topsecret"));
  ASSERT_TRUE(got.failed_with(Errc::bad_request));
  EXPECT_TRUE(got.error().context.ends_with(": enrollment token has expired"));
  EXPECT_EQ(got.error().context.find("topsecret"), std::string::npos);
}

TEST(EnrollmentClient, redeems_once_and_repeats_the_acknowledgement) {
  EnrollmentFixture f;
  f.http.fail_with(Errc::unavailable);
  EXPECT_TRUE(run_blocking(f.client.redeem("t")).failed_with(Errc::unavailable));
  EXPECT_EQ(f.http.request_count(), 1u);
  f.http.fail_with(Errc::unavailable);
  f.http.answer(200, encode_success(Dialect::num));
  EXPECT_TRUE(run_blocking(f.client.acknowledge("t")).ok());
  EXPECT_EQ(f.http.request_count(), 3u);
}

}  // namespace
}  // namespace aster
