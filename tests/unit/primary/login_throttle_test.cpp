#include "server/primary/login_throttle.h"

#include <gtest/gtest.h>

#include "tests/support/fake_clock.h"

namespace aster::primary {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kPeer = "10.0.0.1";

class LoginThrottleTest : public ::testing::Test {
 protected:
  void fail_times(int n) {
    for (int i = 0; i < n; ++i) ASSERT_TRUE(begin("ann", kPeer)) << i;
  }
  bool begin(const std::string& name, const std::string& peer) {
    return throttle.begin(name, peer).ok();
  }
  static std::string address(int i) {
    return "10.1." + std::to_string(i / 256) + "." + std::to_string(i % 256);
  }
  static std::string name(int i) { return "name" + std::to_string(i); }
  /// One address tries one password of many names, until it is held back.
  int names_until_held(const std::string& peer) {
    int names = 0;
    while (names < 1000 && begin(name(names), peer)) ++names;
    return names;
  }
  /// Many addresses try one password each of one name.
  int addresses_until_held() {
    int peers = 0;
    while (peers < 1000 && begin("ann", address(peers))) ++peers;
    return peers;
  }

  testing::FakeClock clock;
  const LoginThrottle::Options options{.capacity = 64};
  LoginThrottle throttle{clock, options};
};

TEST_F(LoginThrottleTest, lets_a_few_mistakes_pass) {
  fail_times(LoginThrottle::kFreeTries);
  EXPECT_FALSE(begin("ann", kPeer));
}

TEST_F(LoginThrottleTest, waits_twice_as_long_after_each_further_failure) {
  fail_times(LoginThrottle::kFreeTries);
  for (const int wait : {1, 2, 4, 8, 16, 32, 60, 60}) {
    EXPECT_EQ(throttle.begin("ann", kPeer).wait, seconds(wait));
    clock.advance(seconds(wait) - milliseconds(1));
    EXPECT_FALSE(begin("ann", kPeer)) << wait;
    clock.advance(milliseconds(1));
    EXPECT_TRUE(begin("ann", kPeer)) << wait;
  }
}

TEST_F(LoginThrottleTest, forgets_failures_after_a_success) {
  fail_times(LoginThrottle::kFreeTries - 1);
  throttle.succeeded("ann", kPeer);
  fail_times(LoginThrottle::kFreeTries);
}

TEST_F(LoginThrottleTest, does_not_hold_back_other_names_or_peers) {
  fail_times(LoginThrottle::kFreeTries);
  EXPECT_TRUE(begin("bob", kPeer));
  EXPECT_TRUE(begin("ann", "10.0.0.2"));
}

TEST_F(LoginThrottleTest, holds_back_an_address_that_tries_many_names) {
  EXPECT_EQ(names_until_held(kPeer), options.address.burst);
  const LoginThrottle::Verdict held = throttle.begin("zoe", kPeer);
  EXPECT_EQ(held.limit, "address");
  EXPECT_EQ(held.wait, options.address.interval);
  EXPECT_TRUE(begin("zoe", "10.0.0.2")) << "another address";
  clock.advance(options.address.interval - milliseconds(1));
  EXPECT_FALSE(begin("zoe", kPeer));
  clock.advance(milliseconds(1));
  EXPECT_TRUE(begin("zoe", kPeer));
  EXPECT_FALSE(begin("yan", kPeer)) << "one each interval";
  clock.advance(options.address.interval * options.address.burst);
  EXPECT_EQ(names_until_held(kPeer), options.address.burst) << "all is forgotten after a while";
}

TEST_F(LoginThrottleTest, takes_a_network_of_ipv6_for_one_address) {
  const auto in_network = [](int i) { return "2001:db8:0:1::" + std::to_string(i); };
  int tries = 0;
  while (tries < 1000 && begin(name(tries), in_network(tries))) ++tries;
  EXPECT_EQ(tries, options.address.burst);
  EXPECT_TRUE(begin("zoe", "2001:db8:0:2::1"));
}

TEST_F(LoginThrottleTest, takes_both_writings_of_an_address_for_one) {
  for (int i = 0; i < LoginThrottle::kFreeTries; ++i) ASSERT_TRUE(begin("ann", "192.0.2.1"));
  EXPECT_FALSE(begin("ann", "::ffff:192.0.2.1"));
  EXPECT_TRUE(begin("ann", "192.0.2.2"));
}

TEST_F(LoginThrottleTest, slows_down_a_name_that_many_addresses_try) {
  EXPECT_EQ(addresses_until_held(), options.name.burst);
  const LoginThrottle::Verdict held = throttle.begin("ann", kPeer);
  EXPECT_EQ(held.limit, "name");
  EXPECT_EQ(held.wait, options.name.interval) << "never longer: strangers lock nobody out";
  EXPECT_TRUE(begin("bob", address(0)));
  clock.advance(options.name.interval);
  EXPECT_TRUE(begin("ann", kPeer));
}

TEST_F(LoginThrottleTest, lets_a_name_in_at_once_where_it_was_before) {
  ASSERT_TRUE(begin("ann", kPeer));
  throttle.succeeded("ann", kPeer);
  addresses_until_held();
  fail_times(LoginThrottle::kFreeTries);
  EXPECT_EQ(throttle.begin("ann", kPeer).limit, "pair") << "the other limits are the same there";
  EXPECT_EQ(throttle.begin("ann", "10.0.0.2").limit, "name");
  clock.advance(LoginThrottle::kKnown);
  addresses_until_held();
  EXPECT_EQ(throttle.begin("ann", kPeer).limit, "name") << "not for ever";
}

TEST_F(LoginThrottleTest, a_success_takes_back_its_own_try_only) {
  const int guessed = options.address.burst - 1;
  for (int i = 0; i < guessed; ++i) ASSERT_TRUE(begin(name(i), kPeer));
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(begin("own", kPeer)) << i;
    throttle.succeeded("own", kPeer);
  }
  EXPECT_TRUE(begin("zoe", kPeer));
  EXPECT_FALSE(begin("yan", kPeer)) << "an own account gives no further guesses";
}

TEST_F(LoginThrottleTest, counts_right_ones_too_where_that_was_asked_for) {
  LoginThrottle strict(clock, {.address = {3, seconds(7)}, .count_successes = true});
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(strict.begin("ann", kPeer).ok());
    strict.succeeded("ann", kPeer);
  }
  EXPECT_EQ(strict.begin("ann", kPeer).wait, seconds(7));
}

TEST_F(LoginThrottleTest, says_once_that_it_begins_to_hold_back) {
  fail_times(LoginThrottle::kFreeTries);
  EXPECT_TRUE(throttle.begin("ann", kPeer).begins);
  EXPECT_FALSE(throttle.begin("ann", kPeer).begins);
  clock.advance(seconds(1));
  ASSERT_TRUE(begin("ann", kPeer));
  EXPECT_FALSE(throttle.begin("ann", kPeer).begins) << "still the same guesser";
  int notes = 0;
  for (int i = 0; i < 1000; ++i) notes += throttle.begin(name(i), kPeer).begins ? 1 : 0;
  EXPECT_EQ(notes, 1) << "once for the address";
}

TEST_F(LoginThrottleTest, stays_bounded) {
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(begin(name(i), address(i)));
    throttle.succeeded(name(i), address(i));
    ASSERT_TRUE(begin(name(i), address(i)));
  }
  EXPECT_LE(throttle.size(), 4 * options.capacity);
}

TEST_F(LoginThrottleTest, is_not_made_to_forget_by_junk) {
  fail_times(LoginThrottle::kFreeTries);
  EXPECT_EQ(addresses_until_held(), options.name.burst - LoginThrottle::kFreeTries);
  names_until_held("10.0.0.9");
  // Every address one made-up name; many more than the memory holds.
  for (int i = 0; i < 10'000; ++i) throttle.begin(name(i), address(i));
  EXPECT_EQ(throttle.begin("bob", "10.0.0.9").limit, "address");
  EXPECT_EQ(throttle.begin("ann", "10.0.0.8").limit, "name");
  EXPECT_EQ(throttle.begin("ann", kPeer).limit, "pair");
}

}  // namespace
}  // namespace aster::primary
