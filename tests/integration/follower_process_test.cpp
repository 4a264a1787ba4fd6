// A real follower process: enrolment, restarts, crashes, full disks.
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "protocol/base/guarded.h"
#include "protocol/checksum.h"
#include "protocol/messages.h"
#include "server/follower/binding_store.h"
#include "server/http/http.h"
#include "tests/integration/conformance/peer.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

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

class FollowerProcess : public ::testing::Test {
 protected:
  using Env = std::vector<std::pair<std::string, std::string>>;

  fs::path data() const { return dir_ / "data"; }
  fs::path config() const { return data() / "config.toml"; }

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

  /// A binding and its default target, without a primary.
  void prepare() {
    fs::create_directory(data());
    testing::write_file(config(), "[server]\nstart_mode = \"follower\"\n");
    const SystemClock clock;
    auto store = follower::BindingStore::open((data() / "asterdrive.db").string(), clock);
    ASSERT_TRUE((*store)
                    ->enroll({.name = "node",
                              .master_url = "http://p",
                              .access_key = "rn_one",
                              .secret_key = "rns_one",
                              .is_enabled = true,
                              .storage_namespace = "space-1"})
                    .ok());
  }
  void start(Env env = {}) {
    env.emplace_back("ASTER__SERVER__PORT", "0");
    auto spawned = testing::Process::spawn({.argv = {ASTER_DRIVE, "serve"},
                                            .env = env,
                                            .output = dir_ / "log",
                                            .working_dir = dir_.path(),
                                            .ready_pipe = true});
    ASSERT_TRUE(spawned.ok()) << spawned.error().message();
    process_.emplace(std::move(*spawned));
    const auto port = process_->wait_ready();
    ASSERT_TRUE(port.ok()) << testing::read_file(dir_ / "log");
    peer_.emplace(Peer::Options{.host = "127.0.0.1",
                                .port = static_cast<uint16_t>(std::stoi(*port)),
                                .credentials = {"rn_one", "rns_one"}});
  }
  void make_target() {
    ASSERT_EQ(
        peer_->json("POST", "/targets", R"({"driver_type":"local","name":"t","base_path":"main"})")
            .status,
        201);
  }
  fs::path managed() const { return data() / "remote-storage-targets/main"; }
  size_t temps() const {
    size_t count = 0;
    for (const auto& entry : fs::directory_iterator(managed() / ".aster-tmp")) {
      count += entry.is_regular_file();
    }
    return count;
  }
  std::string log() const { return testing::read_file(dir_ / "log"); }

  testing::TempDir dir_;
  std::optional<testing::Process> process_;
  std::optional<Peer> peer_;
};

std::string body_of(int number) {
  std::mt19937_64 random(static_cast<uint64_t>(number));
  std::string out(20'000 + random() % 300'000, 0);
  for (char& c : out) c = static_cast<char>(random());
  return out;
}

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
  EXPECT_EQ(peer_->health("GET", "/health/ready", conformance::kNew).status, 503);
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

TEST_F(FollowerProcess, acknowledged_objects_are_whole_after_kills_among_uploads) {
  prepare();
  std::atomic<int> next = 0;
  Guarded<std::vector<int>> acknowledged;
  for (int round = 0; round < 3; ++round) {
    start();
    if (round == 0) make_target();
    std::atomic<int> done = 0;
    std::vector<std::jthread> uploaders;
    for (int t = 0; t < 8; ++t) {
      uploaders.emplace_back([&] {
        for (;;) {
          const int number = next++;
          const auto answer = peer_->put("/objects/f/" + std::to_string(number), body_of(number));
          if (answer.status != 200) return;
          acknowledged.lock()->push_back(number);
          ++done;
          done.notify_all();
        }
      });
    }
    for (int have = done; have < 40; have = done) done.wait(have);
    process_->kill();
  }
  start();
  EXPECT_EQ(temps(), 0u);
  const auto numbers = *acknowledged.lock();
  EXPECT_GE(numbers.size(), 120u);
  for (const int number : numbers) {
    EXPECT_TRUE(peer_->get("/objects/f/" + std::to_string(number)).body == body_of(number))
        << number;
  }
  // An upload whose answer was lost is whole or not there, never torn.
  for (int number = 0; number < next; ++number) {
    const auto answer = peer_->get("/objects/f/" + std::to_string(number));
    EXPECT_TRUE(answer.status == 404 || answer.body == body_of(number)) << number;
  }
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
