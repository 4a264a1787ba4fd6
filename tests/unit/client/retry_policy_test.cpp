#include "protocol/client/retry_policy.h"

#include <gtest/gtest.h>

#include "tests/support/fake_http_client.h"

namespace aster {
namespace {

using std::chrono::milliseconds;
using testing::FakeHttpClient;

struct RetryFixture {
  FakeHttpClient http;
  Executor executor{{.name = "test", .threads = 1}};
  RetryPolicy policy{.first = milliseconds(0), .most_attempts = 3};

  Result<HttpClientResponse> send(milliseconds time = milliseconds(10'000)) {
    return run_blocking(send_with_retries(
        http, executor, policy, [](milliseconds) { return HttpClientRequest{.url = "http://h/"}; },
        time, CancelToken()));
  }
};

TEST(RetryPolicy, grows_to_its_bound) {
  const RetryPolicy policy{.first = milliseconds(50), .longest = milliseconds(2000)};
  EXPECT_EQ(policy.delay(0, 0.0), milliseconds(0));
  EXPECT_EQ(policy.delay(0, 0.5), milliseconds(25));
  EXPECT_EQ(policy.delay(3, 0.5), milliseconds(200));
  EXPECT_EQ(policy.delay(10, 0.5), milliseconds(1000));
  EXPECT_EQ(policy.delay(1000, 0.5), milliseconds(1000));
}

TEST(SendWithRetries, repeats_transient_failures_only) {
  for (const int status : {429, 502, 503, 504}) {
    RetryFixture f;
    f.http.answer(status);
    f.http.answer(200);
    EXPECT_EQ(f.send()->status, 200);
  }
  for (const int status : {400, 401, 404, 412, 500, 507}) {
    RetryFixture f;
    f.http.answer(status);
    EXPECT_EQ(f.send()->status, status);
    EXPECT_EQ(f.http.request_count(), 1u);
  }
  RetryFixture f;
  f.http.fail_with(Errc::too_large);
  EXPECT_TRUE(f.send().failed_with(Errc::too_large));
  EXPECT_EQ(f.http.request_count(), 1u);
}

TEST(SendWithRetries, ends_with_its_attempts) {
  RetryFixture f;
  for (int i = 0; i < 5; ++i) f.http.fail_with(Errc::unavailable);
  EXPECT_TRUE(f.send().failed_with(Errc::unavailable));
  EXPECT_EQ(f.http.request_count(), 3u);
}

TEST(SendWithRetries, does_not_wait_beyond_its_time) {
  RetryFixture f;
  f.http.answer(503, "", {{"Retry-After", "3600"}});
  EXPECT_EQ(f.send()->status, 503);
  EXPECT_EQ(f.http.request_count(), 1u);
}

TEST(SendWithRetries, a_date_in_retry_after_is_ignored) {
  RetryFixture f;
  f.http.answer(503, "", {{"Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT"}});
  f.http.answer(200);
  EXPECT_EQ(f.send()->status, 200);
  EXPECT_EQ(retry_after(FakeHttpClient::made(503, "", {{"retry-after", " 7 "}})),
            std::chrono::seconds(7));
}

TEST(SendWithRetries, a_cancelled_call_is_not_repeated) {
  RetryFixture f;
  const CancelToken cancel;
  cancel.cancel();
  const auto got = run_blocking(send_with_retries(
      f.http, f.executor, f.policy,
      [](milliseconds) { return HttpClientRequest{.url = "http://h/"}; }, milliseconds(1000),
      cancel));
  EXPECT_TRUE(got.failed_with(Errc::interrupted));
}

}  // namespace
}  // namespace aster
