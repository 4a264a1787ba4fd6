#include "protocol/base/text.h"
#include "server/webdav/front_end.h"
#include "tests/integration/drive_fixture.h"

namespace aster {
namespace {

/// A drive behind a proxy on this machine that takes https.
class Proxied : public DriveFixture {
 protected:
  explicit Proxied(Config::Environment more = {})
      : DriveFixture(DriveSettings{.front_ends = {webdav::make_front_end},
                                   .variables = with_proxy(std::move(more))}) {}

  static Config::Environment with_proxy(Config::Environment more) {
    more.insert(more.end(), {{"ASTER__NETWORK_TRUST__TRUSTED_PROXIES", "127.0.0.1"},
                             {"ASTER__SERVER__PLAIN_HTTP", "redirect"},
                             {"ASTER__SERVER__PUBLIC_URL", "https://drive.example.com"}});
    return more;
  }

  /// As the proxy hands it on.
  ApiAnswer from(const std::string& client, const std::string& method, const std::string& path,
                 std::string body = {}, HeaderList headers = {}) {
    headers.emplace_back("X-Forwarded-For", client);
    headers.emplace_back("X-Forwarded-Proto", "https");
    headers.emplace_back("X-Forwarded-Host", "drive.example.com");
    return send(method, primary_url() + path, std::move(body), std::move(headers));
  }
  void set_up_ann() {
    ASSERT_EQ(from("192.0.2.1", "POST", "/api/v1/auth/setup",
                   R"({"username":"ann","password":"ann's password"})")
                  .status,
              201);
  }
};

TEST_F(Proxied, failed_logins_slow_down_their_own_address_only) {
  set_up_ann();
  const std::string wrong = R"({"identifier":"ann","password":"guessed"})";
  int status = 401;
  // Each refusal that is let through doubles the wait for the next.
  for (int tries = 0; status == 401 && tries < 50; ++tries) {
    status = from("203.0.113.1", "POST", "/api/v1/auth/login", wrong).status;
  }
  EXPECT_EQ(status, 429);
  EXPECT_EQ(from("203.0.113.1, 203.0.113.2", "POST", "/api/v1/auth/login", wrong).status, 401)
      << "another client, which claims to be the first";
}

TEST_F(Proxied, an_address_that_tries_many_names_is_slowed_down_at_every_door) {
  set_up_ann();
  const auto login = [&](const std::string& client, int i) {
    const std::string body =
        R"({"identifier":"name)" + std::to_string(i) + R"(","password":"spring 2026"})";
    return from(client, "POST", "/api/v1/auth/login", body).status;
  };
  const auto webdav = [&](const std::string& client, int i) {
    const std::string pair = "name" + std::to_string(i) + ":spring 2026";
    return from(client, "GET", "/webdav/", {}, {{"Authorization", "Basic " + encode_base64(pair)}})
        .status;
  };
  int status = 401;
  for (int i = 0; status == 401 && i < 200; ++i) {
    status = i % 2 == 0 ? login("203.0.113.1", i) : webdav("203.0.113.1", i);
  }
  EXPECT_EQ(status, 429);
  EXPECT_EQ(login("203.0.113.2", 0), 401);
  EXPECT_EQ(webdav("203.0.113.2", 0), 401);
}

TEST_F(Proxied, a_stolen_token_does_not_guess_the_password) {
  set_up_ann();
  const ApiAnswer login = from("192.0.2.1", "POST", "/api/v1/auth/login",
                               R"({"identifier":"ann","password":"ann's password"})");
  ASSERT_EQ(login.status, 200);
  const std::string bearer = "Bearer " + std::string(login.data.at("token").as_string());
  int status = 401;
  for (int tries = 0; status == 401 && tries < 50; ++tries) {
    status = from("203.0.113.1", "PUT", "/api/v1/auth/password",
                  R"({"current_password":"guessed","new_password":"mine from now on"})",
                  {{"Authorization", bearer}})
                 .status;
  }
  EXPECT_EQ(status, 429);
}

class ProxiedWithRates : public Proxied {
 protected:
  ProxiedWithRates()
      : Proxied({{"ASTER__RATE_LIMIT__ENABLED", "true"},
                 {"ASTER__RATE_LIMIT__AUTH__BURST_SIZE", "3"},
                 {"ASTER__RATE_LIMIT__AUTH__SECONDS_PER_REQUEST", "3600"}}) {}
};

TEST_F(ProxiedWithRates, logins_have_the_limit_of_the_configuration) {
  set_up_ann();
  const std::string right = R"({"identifier":"ann","password":"ann's password"})";
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(from("203.0.113.1", "POST", "/api/v1/auth/login", right).status, 200) << i;
  }
  EXPECT_EQ(from("203.0.113.1", "POST", "/api/v1/auth/login", right).status, 429);
  EXPECT_EQ(from("203.0.113.2", "POST", "/api/v1/auth/login", right).status, 200);
}

TEST_F(Proxied, requests_that_did_not_come_over_tls_are_sent_there) {
  const ApiAnswer direct = send("GET", primary_url() + "/webdav/a");
  EXPECT_EQ(direct.status, 308);
  EXPECT_EQ(*find_header(direct.headers, "Location"), "https://drive.example.com/webdav/a");
  EXPECT_EQ(
      send("GET", primary_url() + "/api/v1/auth/me", {}, {{"Authorization", "Bearer t"}}).status,
      403);
  EXPECT_EQ(from("192.0.2.1", "GET", "/api/v1/auth/me").status, 401) << "served";
}

TEST_F(Proxied, webdav_takes_destinations_at_the_name_that_clients_know) {
  set_up_ann();
  const HeaderList login = {{"Authorization", "Basic " + encode_base64("ann:ann's password")}};
  ASSERT_EQ(from("192.0.2.1", "MKCOL", "/webdav/a", {}, login).status, 201);
  HeaderList move = login;
  move.emplace_back("Destination", "https://drive.example.com/webdav/b");
  EXPECT_EQ(from("192.0.2.1", "MOVE", "/webdav/a", {}, move).status, 201);
  HeaderList elsewhere = login;
  elsewhere.emplace_back("Destination", "https://other.example.com/webdav/c");
  EXPECT_EQ(from("192.0.2.1", "MOVE", "/webdav/b", {}, elsewhere).status, 502);
}

}  // namespace
}  // namespace aster
