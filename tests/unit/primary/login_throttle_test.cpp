#include "server/primary/login_throttle.h"

#include <gtest/gtest.h>

#include "tests/support/fake_clock.h"

namespace aster::primary {
namespace {

class LoginThrottleTest : public ::testing::Test {
 protected:
  void fail_times(int n) {
    for (int i = 0; i < n; ++i) ASSERT_TRUE(throttle.begin("ann", "10.0.0.1").ok());
  }
  testing::FakeClock clock;
  LoginThrottle throttle{clock, 4};
};

TEST_F(LoginThrottleTest, lets_a_few_mistakes_pass) {
  fail_times(LoginThrottle::kFreeTries);
  EXPECT_TRUE(throttle.begin("ann", "10.0.0.1").failed_with(Errc::rate_limited));
}

TEST_F(LoginThrottleTest, waits_twice_as_long_after_each_further_failure) {
  fail_times(LoginThrottle::kFreeTries);
  for (const int wait : {1, 2, 4, 8, 16, 32, 60, 60}) {
    clock.advance(std::chrono::seconds(wait) - std::chrono::milliseconds(1));
    EXPECT_FALSE(throttle.begin("ann", "10.0.0.1").ok()) << wait;
    clock.advance(std::chrono::milliseconds(1));
    EXPECT_TRUE(throttle.begin("ann", "10.0.0.1").ok()) << wait;
  }
}

TEST_F(LoginThrottleTest, forgets_failures_after_a_success) {
  fail_times(LoginThrottle::kFreeTries - 1);
  throttle.succeeded("ann", "10.0.0.1");
  fail_times(LoginThrottle::kFreeTries);
}

TEST_F(LoginThrottleTest, does_not_hold_back_other_names_or_peers) {
  fail_times(LoginThrottle::kFreeTries);
  EXPECT_TRUE(throttle.begin("bob", "10.0.0.1").ok());
  EXPECT_TRUE(throttle.begin("ann", "10.0.0.2").ok());
}

TEST_F(LoginThrottleTest, stays_bounded) {
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(throttle.begin(std::to_string(i), "peer").ok());
  EXPECT_EQ(throttle.size(), 4u);
}

}  // namespace
}  // namespace aster::primary
