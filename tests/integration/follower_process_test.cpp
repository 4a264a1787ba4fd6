// A real follower process: enrolment, restarts, crashes, full disks.
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>

#include "protocol/base/guarded.h"
#include "protocol/messages.h"
#include "server/http/http.h"
#include "tests/integration/follower_fixture.h"

namespace aster {
namespace {

namespace fs = std::filesystem;
using conformance::Call;
using conformance::Peer;

/// The two public endpoints of a primary that enrolment needs.
class FakePrimary {
 public:
  explicit FakePrimary(bool numeric = false) : numeric_(numeric) {
    router_.add("POST", "/sub/api/v1/public/remote-enrollment/redeem",
                [this](http::Request& r) { return redeem(r); });
    router_.add("POST", "/sub/api/v1/public/remote-enrollment/ack",
                [this](http::Request& r) { return ack(r); });
    router_.add("GET", "/sub/api/v1/internal/remote-node-control/binding-state",
                [this](http::Request& r) { return state(r); });
    server_ = std::move(*http::start_server({}, router_));
    port_ = server_->port();
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/sub"; }

  std::atomic<bool> refuse_ack = false;
  std::atomic<int> redeemed = 0;
  std::atomic<int> acked = 0;
  struct Script {
    std::string refusal;             ///< of redeem; empty = none
    std::string secret = "rns_one";  ///< handed out
  };
  Guarded<Script> script;
  Guarded<std::string> state_answer;  ///< of binding-state; empty = 404

 private:
  http::Response answer(std::string_view data) const {
    const Dialect dialect = numeric_ ? Dialect::num : Dialect::str;
    return http::Response::json(200, encode_success(dialect, data));
  }
  Task<http::Response> redeem(http::Request& request) {
    std::vector<std::byte> buffer(4096);
    const auto got = co_await request.body->read(buffer);
    const auto token =
        from_json<RedeemRequest>(as_text(ByteView(buffer).first(got.ok() ? *got : 0)));
    const Script wanted = *script.lock();
    if (!token.ok() || token->token != "enr_good" || !wanted.refusal.empty()) {
      const ApiError error(ApiCode::bad_request,
                           wanted.refusal.empty() ? "invalid enrollment token" : wanted.refusal);
      co_return http::Response::json(400, encode_error(Dialect::str, error));
    }
    ++redeemed;
    RedeemAnswer out;
    out.remote_node_id = 7;
    out.remote_node_name = "node";
    out.master_url = url() + "/";
    out.access_key = "rn_one";
    out.secret_key = wanted.secret;
    out.is_enabled = true;
    out.ack_token = "enr_ack_x";
    out.resolved_transport = "direct";
    out.storage_namespace = "space-1";
    co_return answer(to_json(out));
  }
  Task<http::Response> state(http::Request&) {
    if (!state_answer.lock()->empty()) co_return answer(*state_answer.lock());
    co_return http::Response::text(404, "none");
  }
  Task<http::Response> ack(http::Request&) {
    if (refuse_ack) co_return http::Response::text(500, "no");
    ++acked;
    co_return answer("");
  }

  const bool numeric_;
  http::Router router_;
  std::unique_ptr<http::Server> server_;
  std::atomic<uint16_t> port_ = 0;
};

class FollowerProcess : public testing::FollowerProcess {
 protected:
  /// Exit status of `aster_drive node enroll`; what it printed is in output().
  int enroll(const std::string& url, const std::string& token, const std::string& format = "json") {
    fs::remove(dir_ / "enroll.out");
    auto spawned = testing::Process::spawn(
        {.argv = {ASTER_DRIVE, "node", "enroll", "--master-url", url, "--output-format", format},
         .env = {{"ASTER_CLI_ENROLLMENT_TOKEN", token}},
         .output = dir_ / "enroll.out",
         .working_dir = dir_.path()});
    return spawned.ok() ? spawned->wait().value_or(-1) : -2;
  }
  std::string output() const { return testing::read_file(dir_ / "enroll.out"); }
};

TEST_F(FollowerProcess, enrols_and_serves_after_a_start) {
  FakePrimary primary;
  ASSERT_EQ(enroll(primary.url(), "enr_good"), 0) << output();
  EXPECT_EQ(primary.acked, 1);
  const std::string answer = output();
  for (const char* part : {"\"ok\":true", "\"action\":\"created\"", "\"access_key\":\"rn_one\"",
                           "\"server_host\":\"0.0.0.0\"", "\"server_port\":3000",
                           "\"readiness_check_path\":\"/health/ready\""}) {
    EXPECT_NE(answer.find(part), std::string::npos) << part << " in " << answer;
  }
  EXPECT_EQ(answer.find("rns_one"), std::string::npos) << "the secret must not be shown";
  start({{"ASTER__SERVER__HOST", "127.0.0.1"}});
  EXPECT_EQ(peer_->health("GET", "/health/ready", conformance::kNew).status, 200);
  make_target();
  EXPECT_EQ(peer_->put("/objects/files/a", "bytes").status, 200);
  EXPECT_EQ(testing::read_file(managed() / "space-1/files/a"), "bytes");
  EXPECT_EQ(log().find("rns_one"), std::string::npos);
  process_->signal(SIGTERM);
  EXPECT_EQ(process_->wait(), 0);
}

TEST_F(FollowerProcess, enrols_again_with_the_same_key_as_an_update) {
  FakePrimary primary;
  ASSERT_EQ(enroll(primary.url(), "enr_good"), 0);
  ASSERT_EQ(enroll(primary.url(), "enr_good"), 0);
  EXPECT_NE(output().find("\"action\":\"updated\""), std::string::npos);
  primary.script.lock()->secret = "rns_other";
  EXPECT_EQ(enroll(primary.url(), "enr_good"), 1);
  EXPECT_NE(output().find("another secret"), std::string::npos) << output();
}

TEST_F(FollowerProcess, learns_a_numeric_primary_at_enrolment) {
  FakePrimary primary(true);
  ASSERT_EQ(enroll(primary.url(), "enr_good"), 0) << output();
  start({{"ASTER__SERVER__HOST", "127.0.0.1"}});
  const auto answer = peer_->call({.path = "/capabilities", .agent = ""});
  EXPECT_TRUE(answer.body.starts_with("{\"code\":0,")) << answer.body;
}

TEST_F(FollowerProcess, enrolment_failures_are_clear) {
  FakePrimary primary;
  EXPECT_EQ(enroll(primary.url(), "enr_bad"), 1);
  EXPECT_NE(output().find("invalid enrollment token"), std::string::npos) << output();
  primary.script.lock()->refusal = "enrollment token has expired";
  EXPECT_EQ(enroll(primary.url(), "enr_good"), 1);
  EXPECT_NE(output().find("enrollment token has expired"), std::string::npos) << output();
  primary.script.lock()->refusal.clear();
  EXPECT_EQ(enroll("ftp://x", "enr_good"), 1);
  EXPECT_NE(output().find("\"ok\":false"), std::string::npos) << output();
  primary.refuse_ack = true;
  EXPECT_EQ(enroll(primary.url(), "enr_good"), 1);
  EXPECT_NE(output().find("the binding is stored here"), std::string::npos) << output();
}

TEST_F(FollowerProcess, a_primary_is_not_enrolled_and_keeps_its_token) {
  fs::create_directory(data());
  testing::write_file(config(), "[server]\nstart_mode = \"primary\"\n");
  FakePrimary primary;
  EXPECT_EQ(enroll(primary.url(), "enr_good", "human"), 1);
  EXPECT_NE(output().find("only a follower can be enrolled"), std::string::npos) << output();
  EXPECT_EQ(primary.redeemed, 0);
}

TEST_F(FollowerProcess, bootstraps_from_the_environment) {
  FakePrimary primary;
  const Env env{{"ASTER__SERVER__START_MODE", "follower"},
                {"ASTER_BOOTSTRAP_REMOTE_MASTER_URL", primary.url()},
                {"ASTER_BOOTSTRAP_REMOTE_ENROLLMENT_TOKEN", "enr_good"}};
  start(env);
  EXPECT_EQ(peer_->get("/capabilities").status, 200);
  process_->signal(SIGTERM);
  EXPECT_EQ(process_->wait(), 0);
  primary.script.lock()->refusal = "enrollment token has already been redeemed";
  start(env);
  EXPECT_EQ(peer_->get("/capabilities").status, 200);
  EXPECT_NE(log().find("bootstrap was done before"), std::string::npos);
}

TEST_F(FollowerProcess, a_failed_bootstrap_starts_unenrolled) {
  start({{"ASTER__SERVER__START_MODE", "follower"},
         {"ASTER_BOOTSTRAP_REMOTE_MASTER_URL", "http://127.0.0.1:1"}});
  EXPECT_NE(log().find("bootstrap skipped"), std::string::npos) << log();
  const auto ready = peer_->health("GET", "/health/ready", conformance::kNew);
  EXPECT_EQ(ready.status, 503);
  EXPECT_EQ(conformance::verdict(ready), "503 storage.unknown");
  EXPECT_NE(ready.body.find("\"Storage unavailable\""), std::string::npos) << ready.body;
  EXPECT_EQ(conformance::verdict(peer_->health("GET", "/health/ready", conformance::kOld)),
            "503 4001");
  EXPECT_EQ(peer_->health("GET", "/health", conformance::kNew).status, 200);
}

TEST_F(FollowerProcess, keeps_state_and_used_nonces_over_a_kill) {
  prepare();
  start();
  make_target();
  ASSERT_EQ(peer_->put("/objects/a", "kept").status, 200);
  Call call{.path = "/objects/a"};
  call.headers = peer_->sign(call);
  ASSERT_EQ(peer_->send(call).status, 200);
  process_->kill();
  start();
  EXPECT_EQ(peer_->send(call).status, 401) << "a captured request must not work again";
  EXPECT_EQ(peer_->get("/objects/a").body, "kept");
}

TEST_F(FollowerProcess, pulls_what_the_primary_could_not_push) {
  FakePrimary primary;
  *primary.state_answer.lock() =
      R"({"name":"node","is_enabled":false,"resolved_transport":"direct","desired_revision":2})";
  ASSERT_EQ(enroll(primary.url(), "enr_good"), 0) << output();
  start(
      {{"ASTER__SERVER__HOST", "127.0.0.1"}, {"ASTER__SERVER__FOLLOWER__SYNC_INTERVAL_SECS", "1"}});
  ASSERT_TRUE(process_->wait_for_output("enabled=false").ok()) << log();
  EXPECT_EQ(conformance::verdict(peer_->get("/capabilities")), "412 master_binding.disabled");
  *primary.state_answer.lock() =
      R"({"name":"node","is_enabled":true,"resolved_transport":"direct","desired_revision":3})";
  ASSERT_TRUE(process_->wait_for_output("enabled=true").ok()) << log();
  EXPECT_EQ(peer_->get("/capabilities").status, 200);
}

TEST_F(FollowerProcess, serves_a_binding_that_is_enrolled_while_it_runs) {
  FakePrimary primary;
  std::filesystem::create_directory(data());
  testing::write_file(config(), "[server]\nstart_mode = \"follower\"\n");
  start({{"ASTER__SERVER__FOLLOWER__SYNC_INTERVAL_SECS", "1"}});
  EXPECT_EQ(peer_->get("/capabilities").status, 401);
  ASSERT_EQ(enroll(primary.url(), "enr_good"), 0) << output();
  // It asks the new primary as soon as it knows the binding.
  ASSERT_TRUE(process_->wait_for_output(primary.url()).ok()) << log();
  EXPECT_EQ(peer_->get("/capabilities").status, 200);
}

TEST_F(FollowerProcess, a_lost_folder_is_unavailable_after_a_restart_too) {
  prepare();
  start();
  make_target();
  ASSERT_EQ(peer_->put("/objects/a", "kept").status, 200);
  fs::rename(managed(), dir_ / "away");
  EXPECT_EQ(conformance::verdict(peer_->get("/objects/none")), "500 storage.transient");
  EXPECT_EQ(conformance::verdict(peer_->put("/objects/b", "x")), "500 storage.transient");
  process_->kill();
  start();
  EXPECT_EQ(conformance::verdict(peer_->get("/objects/a")), "500 storage.transient");
  EXPECT_EQ(peer_->health("GET", "/health/ready", conformance::kNew).status, 503);
  EXPECT_FALSE(fs::exists(managed()));
  fs::rename(dir_ / "away", managed());
  EXPECT_EQ(peer_->get("/objects/a").body, "kept");
}

TEST_F(FollowerProcess, a_list_without_pages_has_a_limit) {
  prepare();
  start({{"ASTER__SERVER__FOLLOWER__MAX_UNPAGED_LIST", "3"}});
  make_target();
  for (const char* key : {"a", "b", "c"})
    ASSERT_EQ(peer_->put("/objects/" + std::string(key), "").status, 200);
  EXPECT_EQ(conformance::data_of(peer_->get("/objects")), R"({"items":["a","b","c"]})");
  ASSERT_EQ(peer_->put("/objects/d", "").status, 200);
  const auto refused = peer_->get("/objects");
  EXPECT_EQ(conformance::verdict(refused), "400 bad_request");
  EXPECT_NE(refused.body.find("more than 3 objects: ask for pages"), std::string::npos);
  EXPECT_EQ(conformance::data_of(peer_->get("/objects?limit=4")), R"({"items":["a","b","c","d"]})");
}

TEST_F(FollowerProcess, connections_over_the_limit_are_refused_and_the_others_served) {
  prepare("max_connections = 8\n");
  start();
  std::vector<testing::RawClient> open;
  for (int i = 0; i < 8; ++i) {
    open.emplace_back(peer_->options().port);
    ASSERT_EQ(open.back().exchange("GET /health HTTP/1.1\r\n\r\n")->status, 200);
  }
  testing::RawClient late(peer_->options().port);
  EXPECT_EQ(late.receive().value_or(testing::RawAnswer{}).status, 503);
  EXPECT_EQ(open.front().exchange("GET /health HTTP/1.1\r\n\r\n")->status, 200);
}

TEST_F(FollowerProcess, lets_an_upload_finish_when_it_is_told_to_stop) {
  prepare();
  start();
  make_target();
  Call call{.method = "PUT", .path = "/objects/slow", .body = "0123456789"};
  std::string head = "PUT " + peer_->target(call) + " HTTP/1.1\r\nContent-Length: 10\r\n";
  for (const auto& [name, value] : peer_->sign(call)) head += name + ": " + value + "\r\n";
  testing::RawClient client(peer_->options().port);
  client.send(head + "Expect: 100-continue\r\n\r\n");
  ASSERT_EQ(client.receive()->status, 100);
  process_->signal(SIGTERM);
  ASSERT_TRUE(process_->wait_for_output("event=stopping").ok());
  client.send("0123456789");
  const auto answer = client.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(process_->wait(), 0);
  EXPECT_EQ(testing::read_file(managed() / "space-1/slow"), "0123456789");
}

TEST_F(FollowerProcess, a_bad_configuration_ends_with_one_clear_line) {
  fs::create_directory(data());
  testing::write_file(config(), "[server]\nstart_mode = \"follower\"\nport = 99999\n");
  auto spawned = testing::Process::spawn(
      {.argv = {ASTER_DRIVE}, .output = dir_ / "log", .working_dir = dir_.path()});
  ASSERT_TRUE(spawned.ok());
  EXPECT_EQ(spawned->wait(), 1);
  EXPECT_NE(log().find("config.toml:3: server.port: 99999 is above the limit 65535"),
            std::string::npos)
      << log();
}

}  // namespace
}  // namespace aster
