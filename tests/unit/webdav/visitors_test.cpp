#include "server/webdav/visitors.h"

#include "protocol/base/text.h"
#include "server/db/policy_group_store.h"
#include "server/primary/follower_registry.h"
#include "server/primary/s3_storage.h"
#include "tests/support/fake_http_client.h"
#include "tests/unit/primary/admin_fixture.h"

namespace aster::webdav {
namespace {

using std::chrono::seconds;

constexpr const char* kPassword = "correct horse";

/// Who is admitted, with a clock that only the test moves.
class VisitorsTest : public primary::AdminFixture {
 protected:
  static Config empty_config(const std::filesystem::path& file) {
    testing::write_file(file, "");
    auto config = Config::load(file, {});
    if (!config.ok()) throw std::runtime_error(config.error().message());
    return std::move(*config);
  }
  void SetUp() override {
    ann = run_blocking(accounts.create_user({.name = "ann", .password = kPassword}))->id;
  }
  std::string make_token(const primary::TokenScope& scope, seconds lifetime) {
    db::TokenRow row{.user = ann, .name = "token", .scopes = encode(scope)};
    row.expires_at = clock.now_seconds() + lifetime.count();
    const std::string token = primary::Accounts::make_token(row);
    EXPECT_TRUE(run_blocking(accounts_store->create_token(std::move(row))).ok());
    return token;
  }
  Result<Visitor> admit(const std::string& authorization) {
    http::Request request;
    request.peer = "10.0.0.1";
    request.headers = {{"Authorization", authorization}};
    return run_blocking(visitors.admit(request));
  }
  Result<Visitor> basic(const std::string& password) {
    return admit("Basic " + encode_base64("ann:" + password));
  }

  const Config config = empty_config(dir / "config.toml");
  primary::FakeNamespaces namespaces;
  primary::Accounts accounts{
      {.cost = {.memory_kib = 64, .passes = 1}}, *accounts_store, &namespaces, executor, clock};
  primary::ApiGate gate{accounts};
  db::TeamStore team_store{*database, executor, clock};
  primary::Teams teams{{}, team_store, *accounts_store, accounts, namespaces, executor, clock};
  primary::Workspaces workspaces{teams, namespaces};
  testing::FakeHttpClient http;
  primary::FollowerRegistry registry{*node_store, http, executor, clock};
  primary::S3Storage s3{http, executor};
  primary::Policies policies{*policy_store, registry, s3, executor};
  db::PolicyGroupStore group_store{*database, executor, clock};
  primary::PolicyGroups groups{group_store, executor};
  primary::RelayUrls relay_urls{"key", clock};
  primary::PolicyBackends backends{policies, groups,  registry, relay_urls,
                                   s3,       nullptr, executor, clock};
  const primary::FrontEndParts parts{config,          gate,      accounts,   workspaces,
                                     *accounts_store, *database, namespaces, backends,
                                     executor,        executor,  clock};
  db::WebdavStore store{*database, executor, clock};
  Visitors visitors{parts, store};
  UserId ann;
};

TEST_F(VisitorsTest, a_token_as_password_holds_to_its_end_and_no_longer) {
  const std::string token = make_token({}, seconds(30));
  ASSERT_TRUE(basic(token).ok());
  clock.advance(seconds(29));
  EXPECT_TRUE(basic(token).ok());
  clock.advance(seconds(1));
  EXPECT_TRUE(basic(token).failed_with(Errc::token_invalid));
  EXPECT_TRUE(admit("Bearer " + token).failed_with(Errc::token_invalid));
}

TEST_F(VisitorsTest, a_token_with_limits_ends_in_time_at_both_doors) {
  primary::TokenScope scope;
  scope.read_only = true;
  scope.places.push_back({"", {"a"}});
  const std::string token = make_token(scope, seconds(30));
  for (const std::string& how : {"Bearer " + token, "Basic " + encode_base64("ann:" + token)}) {
    const auto visitor = admit(how);
    ASSERT_TRUE(visitor.ok()) << visitor.error().message();
    EXPECT_TRUE(visitor->caller.read_only);
    ASSERT_NE(visitor->caller.only, nullptr);
    EXPECT_EQ(*visitor->caller.only, primary::PathScope{{"a"}});
  }
  clock.advance(seconds(30));
  EXPECT_TRUE(basic(token).failed_with(Errc::token_invalid));
  EXPECT_TRUE(admit("Bearer " + token).failed_with(Errc::token_invalid));
}

TEST_F(VisitorsTest, a_password_is_asked_for_again_after_a_minute) {
  ASSERT_TRUE(basic(kPassword).ok());
  ASSERT_TRUE(run_blocking(accounts_store->update_user(ann, {.password_hash = "another"})).ok())
      << "by another process, which tells nothing";
  clock.advance(seconds(59));
  EXPECT_TRUE(basic(kPassword).ok());
  clock.advance(seconds(1));
  EXPECT_FALSE(basic(kPassword).ok());
}

TEST_F(VisitorsTest, passwords_that_are_guessed_are_slowed_down) {
  for (int i = 0; i < primary::LoginThrottle::kFreeTries; ++i) {
    EXPECT_TRUE(basic("guess " + std::to_string(i)).failed_with(Errc::credentials_failed));
  }
  EXPECT_TRUE(basic(kPassword).failed_with(Errc::rate_limited));
  clock.advance(seconds(1));
  EXPECT_TRUE(basic(kPassword).ok());
}

}  // namespace
}  // namespace aster::webdav
