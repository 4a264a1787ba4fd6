#include "server/primary/interruptible_http_client.h"

#include <gtest/gtest.h>

#include "tests/support/fake_http_client.h"

namespace aster::primary {
namespace {

using testing::FakeHttpClient;

Result<HttpClientResponse> answer_200(const FakeHttpClient::Seen&) {
  return FakeHttpClient::made(200, "hello");
}

class InterruptibleHttpClientTest : public ::testing::Test {
 protected:
  FakeHttpClient inner;
  InterruptibleHttpClient http{inner};
};

TEST_F(InterruptibleHttpClientTest, hands_exchanges_on) {
  inner.answer(200, "hello");
  EXPECT_EQ(as_text(run_blocking(http.send({}))->body.view()), "hello");
}

TEST_F(InterruptibleHttpClientTest, ends_what_hangs_and_refuses_what_comes_later) {
  inner.hold(answer_200);
  std::optional<Result<HttpClientResponse>> outcome;
  start<Result<HttpClientResponse>>(http.send({}), [&](auto result) { outcome = result; });
  EXPECT_FALSE(outcome.has_value());
  http.interrupt();
  ASSERT_TRUE(outcome.has_value());
  EXPECT_TRUE(outcome->failed_with(Errc::interrupted));
  EXPECT_TRUE(run_blocking(http.send({})).failed_with(Errc::interrupted));
}

TEST_F(InterruptibleHttpClientTest, still_obeys_the_callers_own_cancellation) {
  inner.hold(answer_200);
  CancelToken cancel;
  std::optional<Result<HttpClientResponse>> outcome;
  start<Result<HttpClientResponse>>(http.send({}, cancel), [&](auto result) { outcome = result; });
  cancel.cancel();
  ASSERT_TRUE(outcome.has_value());
  EXPECT_TRUE(outcome->failed_with(Errc::interrupted));
}

}  // namespace
}  // namespace aster::primary
