#include "server/primary/relay_urls.h"

#include <gtest/gtest.h>

#include "tests/support/fake_clock.h"

namespace aster::primary {
namespace {

class RelayUrlsTest : public ::testing::Test {
 protected:
  RelayUrlsTest() {
    grant.expires = clock.now_seconds() + 60;
    const std::string path = urls.path_for(grant);
    query = path.substr(path.find('?') + 1);
  }
  Result<RelayGrant> verify(std::string_view method, std::string_view raw_query) {
    return urls.verify(method, grant.object.hex(), raw_query);
  }
  std::string replaced(const std::string& from, const std::string& to) {
    std::string changed = query;
    return changed.replace(changed.find(from), from.size(), to);
  }

  testing::FakeClock clock;
  RelayUrls urls{"server key", clock};
  RelayGrant grant{"GET", PolicyId(7), ObjectId::random(), 0};
  std::string query;
};

TEST_F(RelayUrlsTest, accepts_what_it_signed) {
  const auto found = verify("GET", query);
  ASSERT_TRUE(found.ok()) << found.error().message();
  EXPECT_EQ(found->policy, PolicyId(7));
  EXPECT_EQ(found->object, grant.object);
}

TEST_F(RelayUrlsTest, refuses_another_method_object_policy_expiry_or_key) {
  EXPECT_TRUE(verify("PUT", query).failed_with(Errc::token_invalid));
  EXPECT_TRUE(urls.verify("GET", ObjectId::random().hex(), query).failed_with(Errc::token_invalid));
  EXPECT_TRUE(verify("GET", replaced("policy=7", "policy=8")).failed_with(Errc::token_invalid));
  const std::string expiry = "expires=" + std::to_string(grant.expires);
  EXPECT_TRUE(verify("GET", replaced(expiry, expiry + "0")).failed_with(Errc::token_invalid));
  EXPECT_TRUE(RelayUrls("other key", clock)
                  .verify("GET", grant.object.hex(), query)
                  .failed_with(Errc::token_invalid));
}

TEST_F(RelayUrlsTest, refuses_after_expiry) {
  clock.advance(std::chrono::seconds(60));
  EXPECT_TRUE(verify("GET", query).ok());
  clock.advance(std::chrono::seconds(1));
  EXPECT_TRUE(verify("GET", query).failed_with(Errc::token_invalid));
}

TEST_F(RelayUrlsTest, refuses_malformed_paths) {
  EXPECT_TRUE(urls.verify("GET", "zz", query).failed_with(Errc::bad_request));
  EXPECT_TRUE(verify("GET", "").failed_with(Errc::bad_request));
  EXPECT_TRUE(verify("GET", replaced("policy=7", "policy=-7")).failed_with(Errc::bad_request));
  EXPECT_TRUE(verify("GET", query.substr(0, query.find("&sig"))).failed_with(Errc::token_invalid));
}

}  // namespace
}  // namespace aster::primary
