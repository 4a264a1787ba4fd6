#include "server/primary/follower_registry.h"

#include <boost/json.hpp>
#include <thread>

#include "tests/support/fake_http_client.h"
#include "tests/unit/primary/admin_fixture.h"

namespace aster::primary {
namespace {

using testing::FakeHttpClient;

/// A node that is enrolled, in front of a follower that is played.
class FollowerRegistryTest : public AdminFixture {
 protected:
  FollowerRegistryTest() {
    const auto enrolled = run_blocking(database->write([this](db::Txn& txn) -> Result<void> {
      txn.exec("UPDATE remote_nodes SET enrolled = 1 WHERE id = ?1", node);
      return ok();
    }));
    EXPECT_TRUE(enrolled.ok());
    EXPECT_TRUE(run_blocking(registry.load()).ok());
  }
  Result<void> enable(bool enabled) {
    const auto changed = run_blocking(registry.update(node, {.enabled = enabled}));
    if (!changed.ok()) return changed.error().to_error();
    return ok();
  }
  void round() { run_blocking(registry.probe_all()); }
  /// "+" and "-" for each push of an enabled or a disabled binding.
  std::string pushes() const {
    std::string out;
    for (const FakeHttpClient::Seen& seen : followers.requests()) {
      if (seen.method != "PUT") continue;
      out += boost::json::parse(seen.body).at("is_enabled").as_bool() ? "+" : "-";
    }
    return out;
  }
  static Result<HttpClientResponse> refuse(const FakeHttpClient::Seen&) {
    return FakeHttpClient::made(500);
  }
  static Result<HttpClientResponse> accept(const FakeHttpClient::Seen&) {
    return FakeHttpClient::made(200, R"({"code":"success","msg":""})");
  }

  const NodeId node = add_node("f1").id;
  FakeHttpClient followers;
  FollowerRegistry registry{*node_store, followers, executor, clock};
};

TEST_F(FollowerRegistryTest, tells_a_disabled_follower_until_it_has_heard) {
  followers.otherwise(refuse);
  EXPECT_TRUE(enable(false).ok());
  EXPECT_EQ(pushes(), "-");
  round();
  EXPECT_EQ(pushes(), "--");
  followers.otherwise(accept);
  round();
  round();
  EXPECT_EQ(pushes(), "---") << "once it has heard, it is left alone";
}

TEST_F(FollowerRegistryTest, tells_a_disabled_follower_after_a_restart) {
  followers.otherwise(accept);
  EXPECT_TRUE(enable(false).ok());
  round();
  EXPECT_EQ(pushes(), "-");
  FollowerRegistry next(*node_store, followers, executor, clock);
  EXPECT_TRUE(run_blocking(next.load()).ok());
  run_blocking(next.probe_all());
  EXPECT_EQ(pushes(), "--");
}

TEST_F(FollowerRegistryTest, the_latest_state_is_the_last_that_a_follower_hears) {
  const Completion<bool> arrives = followers.hold(accept);
  followers.otherwise(accept);
  Completion<bool> ended;
  start(registry.probe_all(), [ended] { ended.set(true); });
  while (followers.request_count() == 0) std::this_thread::yield();
  EXPECT_TRUE(enable(false).ok());
  EXPECT_EQ(pushes(), "+-") << "the older one is still on its way";
  arrives.set(true);
  const auto wait = [](Completion<bool> done) -> Task<void> { co_await done; };
  run_blocking(wait(ended));
  EXPECT_EQ(pushes(), "+--");
}

}  // namespace
}  // namespace aster::primary
