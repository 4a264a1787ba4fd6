#include <thread>

#include "tests/integration/drive_fixture.h"
#include "tests/support/exposition.h"
#include "tests/support/tcp_proxy.h"

namespace aster {
namespace {

using testing::parse_exposition;
using testing::Scrape;

class Metrics : public DriveFixture {
 protected:
  Metrics() = default;
  explicit Metrics(DriveSettings how) : DriveFixture(std::move(how)) {}
  Scrape scrape(const std::string& server) {
    const ApiAnswer answer = send("GET", server + "/metrics");
    EXPECT_EQ(answer.status, 200) << answer.body;
    return parse_exposition(answer.body);
  }
};

TEST_F(Metrics, a_primary_counts_what_it_does) {
  set_up_accounts();
  add_policy("local");
  send("GET", primary_url() + "/nowhere");
  const Scrape before = scrape(primary_url());
  EXPECT_EQ(before.at("aster_http_requests_total{method=\"POST\",route=\"/api/v1/auth/login\","
                      "status=\"200\"}"),
            2);
  EXPECT_EQ(before.at("aster_http_request_seconds_count{method=\"POST\","
                      "route=\"/api/v1/auth/login\"}"),
            2);
  EXPECT_EQ(before.at("aster_http_requests_total{method=\"\",route=\"none\",status=\"404\"}"), 1);
  EXPECT_GT(before.at("aster_http_received_bytes_total{method=\"POST\","
                      "route=\"/api/v1/auth/login\"}"),
            60);
  EXPECT_GT(before.at("aster_db_commit_seconds_count"), 0);
  EXPECT_EQ(before.at("aster_operations_total{operation=\"lookup\"}"), 0);
  EXPECT_EQ(before.at("aster_policy_usable{policy=\"local\",driver=\"local\",node=\"\"}"), 1);

  token = user_token;
  const ApiAnswer session = api("POST", "/api/v1/fs/session", R"({"client":"test"})");
  ASSERT_EQ(session.status, 200) << session.body;
  const std::string id = boost::json::serialize(session.data.at("session"));
  const std::string root = boost::json::serialize(session.data.at("root"));
  const ApiAnswer batch =
      api("POST", "/api/v1/fs/batch",
          "{\"session\":" + id + ",\"ops\":[{\"op\":\"lookup\",\"parent\":" + root +
              ",\"name\":\"missing\"}]}");
  ASSERT_EQ(batch.status, 200) << batch.body;
  const Scrape after = scrape(primary_url());
  EXPECT_EQ(after.at("aster_operations_total{operation=\"lookup\"}"), 1);
  EXPECT_EQ(after.at("aster_operations_failed_total{operation=\"lookup\"}"), 1);
  EXPECT_EQ(after.at("aster_sessions"), 1);
}

TEST_F(Metrics, a_follower_counts_what_it_does) {
  set_up_accounts();
  enroll_follower();
  add_target();
  const Scrape seen = scrape(url_of(follower->port()));
  EXPECT_EQ(seen.at("aster_binding_enabled{primary=\"" + primary_url() + "\",binding=\"1\"}"), 1);
  EXPECT_GT(seen.at("aster_http_connections"), 0);
  const Scrape primary_seen = scrape(primary_url());
  EXPECT_EQ(primary_seen.at("aster_node_up{node=\"f1\"}"), 1);
  EXPECT_GT(primary_seen.at("aster_client_exchanges_total"), 0);
}

TEST_F(Metrics, who_comes_through_a_proxy_needs_an_administrators_token) {
  set_up_accounts();
  const auto status = [&](HeaderList headers) {
    return send("GET", primary_url() + "/metrics", {}, std::move(headers)).status;
  };
  const std::pair<std::string, std::string> proxied{"X-Forwarded-For", "203.0.113.9"};
  EXPECT_EQ(status({}), 200);
  EXPECT_EQ(status({proxied}), 401);
  EXPECT_EQ(status({proxied, {"Authorization", "Bearer " + user_token}}), 403);
  EXPECT_EQ(status({proxied, {"Authorization", "Bearer " + token}}), 200);
}

/// The primary asks its followers every second, through a proxy that can be cut.
class ProbedDrive : public Metrics {
 protected:
  ProbedDrive()
      : Metrics(
            DriveSettings{.variables = {{"ASTER__SERVER__PRIMARY__PROBE_INTERVAL_SECS", "1"}}}) {}
  void SetUp() override {
    set_up_accounts();
    enroll_follower();
    proxy = std::make_unique<testing::TcpProxy>(follower->port());
    const boost::json::object change{{"base_url", url_of(proxy->port())}};
    ASSERT_EQ(api("PATCH", "/api/v1/admin/remote-nodes/1", boost::json::serialize(change)).status,
              200);
  }
  std::string last_error() {
    const ApiAnswer answer = api("GET", "/api/v1/admin/remote-nodes/1");
    return answer.data.at("last_error").as_string().c_str();
  }
  double figure(const std::string& name) {
    const Scrape seen = scrape(primary_url());
    const auto found = seen.samples.find(name);
    return found == seen.samples.end() ? -1 : found->second;
  }

  std::unique_ptr<testing::TcpProxy> proxy;
};

TEST_F(ProbedDrive, a_follower_that_stops_and_returns_is_seen_without_being_asked_for) {
  const std::string up = "aster_node_up{node=\"f1\"}";
  EXPECT_EQ(figure(up), 1);
  proxy->cut();
  while (last_error().empty()) std::this_thread::yield();
  EXPECT_EQ(figure(up), 0);
  proxy->restore();
  while (!last_error().empty()) std::this_thread::yield();
  EXPECT_EQ(figure(up), 1);
}

TEST_F(ProbedDrive, capacity_is_read_without_being_asked_for) {
  add_policy("presigned");
  const std::string size = "aster_policy_capacity_bytes{policy=\"presigned\",node=\"f1\"}";
  EXPECT_EQ(figure(size), -1) << "the follower has no target yet";
  add_target();
  while (figure(size) < 0) std::this_thread::yield();
  EXPECT_GT(figure(size), 0);
}

class ClosedMetrics : public DriveFixture {
 protected:
  ClosedMetrics()
      : DriveFixture(DriveSettings{.variables = {{"ASTER__METRICS__ALLOW_FROM", "192.0.2.0/24"}}}) {
  }
};

TEST_F(ClosedMetrics, are_for_configured_addresses_only) {
  set_up_accounts();
  EXPECT_EQ(send("GET", primary_url() + "/metrics").status, 401);
  EXPECT_EQ(api("GET", "/metrics").status, 200) << "an administrator";
  enroll_follower();
  EXPECT_EQ(send("GET", url_of(follower->port()) + "/metrics").status, 403);
}

}  // namespace
}  // namespace aster
