// Drives a primary's enrolment endpoints, and the one that followers pull their state from, through
// the rules of the protocol in both dialects and prints one line for each. It starts a primary
// itself; with --base-url and --admin-token-file it takes one that runs, where it makes nodes
// called conformance-*, and removes them.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "protocol/base/config.h"
#include "protocol/base/ids.h"
#include "protocol/base_url.h"
#include "server/primary/primary_main.h"
#include "tests/integration/conformance/rows.h"
#include "tests/support/temp_dir.h"

namespace aster::conformance {
namespace {

constexpr char kPublic[] = "/api/v1/public/remote-enrollment/";
constexpr char kNodes[] = "/api/v1/admin/remote-nodes";
constexpr char kState[] = "/api/v1/internal/remote-node-control/binding-state";

/// The primary under test.
class Primary {
 public:
  Primary(std::string host, uint16_t port, std::string prefix)
      : host_(std::move(host)), port_(port), prefix_(std::move(prefix)) {}

  std::string admin_token;

  testing::RawAnswer send(const std::string& method, const std::string& path,
                          const std::optional<std::string>& body, std::string_view agent,
                          const Headers& headers = {}) const {
    std::string text = method + " " + prefix_ + path + " HTTP/1.1\r\nHost: primary\r\n";
    if (!agent.empty()) text += "User-Agent: " + std::string(agent) + "\r\n";
    if (body) {
      text += "Content-Type: application/json\r\nContent-Length: " + std::to_string(body->size()) +
              "\r\n";
    }
    for (const auto& [name, value] : headers) text += name + ": " + value + "\r\n";
    testing::RawClient client(host_, port_);
    client.send(text + "\r\n" + body.value_or(""));
    return client.receive().value_or(testing::RawAnswer{});
  }
  testing::RawAnswer admin(const std::string& method, const std::string& path,
                           const std::optional<std::string>& body = std::nullopt) const {
    return send(method, path, method == "GET" || method == "DELETE" ? body : body.value_or(""), "",
                {{"Authorization", "Bearer " + admin_token}});
  }
  testing::RawAnswer redeem(const std::string& token, std::string_view agent = kNew) const {
    return send("POST", std::string(kPublic) + "redeem", "{\"token\":\"" + token + "\"}", agent);
  }
  testing::RawAnswer ack(const std::string& token, std::string_view agent = kNew) const {
    return send("POST", std::string(kPublic) + "ack", "{\"ack_token\":\"" + token + "\"}", agent);
  }
  testing::RawAnswer state(const sign::Credentials& keys, const std::string& query) const {
    const std::string target = kState + query;
    return send("GET", target, std::nullopt, kNew, signed_headers(keys, target));
  }
  Headers signed_headers(const sign::Credentials& keys, const std::string& target) const {
    return sign::Signer(keys, clock_).sign("GET", target, std::nullopt);
  }

 private:
  const std::string host_;
  const uint16_t port_;
  const std::string prefix_;
  SystemClock clock_;
};

/// A node that is gone afterwards.
class Node {
 public:
  explicit Node(const Primary& primary) : primary_(primary) {
    const std::string name = "conformance-" + random_hex(6);
    id_ = member(data_of(primary.admin("POST", kNodes, "{\"name\":\"" + name + "\"}")), "id");
    name_ = name;
  }
  ~Node() { primary_.admin("DELETE", path()); }
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  const std::string& name() const { return name_; }
  std::string path(const std::string& more = "") const {
    return std::string(kNodes) + "/" + id_ + more;
  }
  std::string token() const {
    return member(data_of(primary_.admin("POST", path("/enrollment-token"))), "token");
  }
  std::string status() const {
    return member(data_of(primary_.admin("GET", path())), "enrollment_status");
  }

 private:
  const Primary& primary_;
  std::string id_;
  std::string name_;
};

/// "400 bad_request: text" (or with the number).
std::string refusal(const testing::RawAnswer& answer) {
  return verdict(answer) + ": " + member(answer.body, "msg");
}
std::string refused(std::string_view agent, const std::string& text) {
  return (agent == kNew ? "400 bad_request: " : "400 1000: ") + text;
}

void form_of_tokens(const Primary& p, Findings& f) {
  const Node node(p);
  const auto issued = p.admin("POST", node.path("/enrollment-token"));
  f.equal("status", issued.status, 201);
  const std::string data = data_of(issued);
  const std::string token = member(data, "token");
  f.is_true("token is enr_ and 32 hex digits", token.starts_with("enr_") && token.size() == 36);
  f.equal("node", member(data, "remote_node_name"), node.name());
  f.is_true("the command names the token",
            member(data, "command").find(token) != std::string::npos);
  f.is_true("expires_at", !member(data, "expires_at").empty());
  f.equal("status of the node", node.status(), "pending");
  f.equal("needs the administrator",
          p.send("POST", node.path("/enrollment-token"), "", kNew).status, 401);
}

void whole_enrolment(const Primary& p, Findings& f, std::string_view agent, bool numeric) {
  const Node node(p);
  f.equal("fresh", node.status(), "not_started");
  f.equal("not usable yet", verdict(p.admin("POST", node.path("/test"))),
          "412 remote_node.enrollment_required");
  const std::string token = node.token();
  const auto redeemed = p.redeem(token, agent);
  f.equal("redeem", verdict(redeemed), numeric ? "200 0" : "200 success");
  f.is_true("type of the code",
            redeemed.body.starts_with(numeric ? "{\"code\":0,\"msg\":\"\""
                                              : "{\"code\":\"success\",\"msg\":\"\""));
  f.equal("content type", redeemed.field("Content-Type").value_or(""), "application/json");
  const std::string data = data_of(redeemed);
  f.equal("name", member(data, "remote_node_name"), node.name());
  const std::string key = member(data, "access_key");
  const std::string secret = member(data, "secret_key");
  f.is_true("access key is rn_ and 32 hex digits", key.starts_with("rn_") && key.size() == 35);
  f.is_true("secret is rns_ and 64 hex digits", secret.starts_with("rns_") && secret.size() == 68);
  const std::string ack = member(data, "ack_token");
  f.is_true("ack token is enr_ack_ and 64 hex digits",
            ack.starts_with("enr_ack_") && ack.size() == 72);
  f.is_true("a number for the node", std::atoll(member(data, "remote_node_id").c_str()) > 0);
  f.is_true("master_url is a URL", normalize_master_url(member(data, "master_url")).ok());
  f.equal("is_enabled", member(data, "is_enabled"), "true");
  f.equal("transport", member(data, "resolved_transport"), "direct");
  f.is_true("desired_revision", std::atoll(member(data, "desired_revision").c_str()) >= 1);
  f.equal("status of the node", node.status(), "redeemed");
  f.equal("ack", verdict(p.ack(ack, agent)), numeric ? "200 0" : "200 success");
  f.equal("status afterwards", node.status(), "completed");
  f.equal("ack again", p.ack(ack, agent).status, 200);
  f.equal("ack by the raw token", p.ack(token, agent).status, 200);
  f.equal("no new token", p.admin("POST", node.path("/enrollment-token")).status / 100, 4);
  f.equal("redeem afterwards", refusal(p.redeem(token, numeric ? kOld : kNew)),
          refused(numeric ? kOld : kNew, "enrollment token has already been completed"));
}

void numeric_enrolment(const Primary& p, Findings& f) {
  whole_enrolment(p, f, kOld, true);
}
void string_enrolment(const Primary& p, Findings& f) {
  whole_enrolment(p, f, kNew, false);
}
void silent_enrolment(const Primary& p, Findings& f) {
  whole_enrolment(p, f, "", true);
}
void alpha_enrolment(const Primary& p, Findings& f) {
  whole_enrolment(p, f, "AsterDrive/0.3.0-alpha.1", false);
}

void literal_refusals(const Primary& p, Findings& f) {
  for (const std::string_view agent : {kOld, kNew}) {
    const Node node(p);
    f.equal("unknown", refusal(p.redeem("enr_" + random_hex(16), agent)),
            refused(agent, "invalid enrollment token"));
    f.equal("unknown ack", refusal(p.ack("enr_ack_" + random_hex(32), agent)),
            refused(agent, "invalid enrollment token"));
    const std::string first = node.token();
    f.equal("ack before redeem", p.ack(first, agent).status, 400);
    const std::string second = node.token();
    f.equal("replaced", refusal(p.redeem(first, agent)),
            refused(agent, "enrollment token has been replaced by a newer session"));
    const std::string ack = member(data_of(p.redeem(second, agent)), "ack_token");
    f.equal("second redeem", refusal(p.redeem(second, agent)),
            refused(agent, "enrollment token has already been redeemed"));
    f.equal("an ack token is none to redeem", refusal(p.redeem(ack, agent)),
            refused(agent, "invalid enrollment token"));
    node.token();
    f.equal("ack of a replaced session", refusal(p.ack(ack, agent)),
            refused(agent, "enrollment session has been invalidated"));
  }
}

void bad_bodies(const Primary& p, Findings& f) {
  for (const char* step : {"redeem", "ack"}) {
    const std::string path = std::string(kPublic) + step;
    for (const char* body : {"", "{", "[]", "{}", "{\"token\":1,\"ack_token\":1}", "null"}) {
      f.equal(step + std::string(" of ") + body, p.send("POST", path, body, kNew).status, 400);
    }
    f.equal("oversized", p.send("POST", path, std::string(1'100'000, ' '), kNew).status, 413);
    f.equal("another method", p.send("GET", path, std::nullopt, kNew).status, 404);
    const std::string long_token(10'000, 'x');
    f.equal("a long token",
            p.send("POST", path,
                   "{\"token\":\"" + long_token + "\",\"ack_token\":\"" + long_token + "\"}", kNew)
                .status,
            400);
  }
}

void state_of_a_binding(const Primary& p, Findings& f) {
  const Node node(p);
  const std::string token = node.token();
  const std::string data = data_of(p.redeem(token));
  p.ack(token);
  const sign::Credentials keys{member(data, "access_key"), member(data, "secret_key")};
  const std::string state = data_of(p.state(keys, "?applied_revision=0"));
  f.equal("name", member(state, "name"), node.name());
  f.equal("is_enabled", member(state, "is_enabled"), "true");
  f.equal("transport", member(state, "resolved_transport"), "direct");
  const int64_t before = std::atoll(member(state, "desired_revision").c_str());
  p.admin("PATCH", node.path(), R"({"is_enabled":false})");
  const std::string after = data_of(p.state(keys, "?applied_revision=" + std::to_string(before)));
  f.equal("a disabled node is told so", member(after, "is_enabled"), "false");
  f.is_true("with a newer revision",
            std::atoll(member(after, "desired_revision").c_str()) > before);
  f.equal("negative revision", p.state(keys, "?applied_revision=-1").status, 400);
  f.equal("other secret", p.state({keys.access_key, "rns_x"}, "?applied_revision=0").status, 401);
  f.equal("unknown key", p.state({"rn_x", keys.secret_key}, "?applied_revision=0").status, 401);
  f.equal("unsigned", p.send("GET", kState, std::nullopt, kNew).status, 401);
  const std::string target = std::string(kState) + "?applied_revision=0";
  const Headers once = p.signed_headers(keys, target);
  f.equal("once", p.send("GET", target, std::nullopt, kNew, once).status, 200);
  f.equal("replayed", p.send("GET", target, std::nullopt, kNew, once).status, 401);
  f.equal("tampered query",
          p.send("GET", std::string(kState) + "?applied_revision=1", std::nullopt, kNew,
                 p.signed_headers(keys, target))
              .status,
          401);
}

void no_tunnel(const Primary& p, Findings& f) {
  for (const char* step : {"poll", "complete"}) {
    f.equal(
        step,
        p.send("POST", std::string("/api/v1/internal/remote-tunnel/") + step, "{}", kNew).status,
        404);
  }
  f.equal("connect",
          p.send("GET", "/api/v1/internal/remote-tunnel/connect", std::nullopt, kNew).status, 404);
}

struct PrimaryRow {
  const char* section;
  const char* text;
  void (*check)(const Primary&, Findings&);
};
constexpr PrimaryRow kRows[] = {
    {"11.1", "a token: form, command, administrator only", form_of_tokens},
    {"11.3", "enrolment of a v2 follower (numeric)", numeric_enrolment},
    {"11.3", "enrolment of a v5 follower (strings)", string_enrolment},
    {"1.3", "enrolment without a User-Agent (v0.1.0, numeric)", silent_enrolment},
    {"1.3", "enrolment of 0.3.0-alpha.1 (strings)", alpha_enrolment},
    {"11.3", "refusals, letter by letter, in both dialects", literal_refusals},
    {"11.3", "bodies that are none", bad_bodies},
    {"12.2", "binding state for followers that pull it", state_of_a_binding},
    {"19.2", "no tunnel is 404", no_tunnel}};

size_t run_rows(const Primary& primary) {
  size_t failed = 0;
  for (const PrimaryRow& row : kRows) {
    Findings findings;
    row.check(primary, findings);
    std::printf("%-5s | %-64s | %s\n", row.section, row.text,
                findings.wrong().empty() ? "passed" : "FAILED");
    for (const std::string& wrong : findings.wrong()) std::printf("      %s\n", wrong.c_str());
    failed += !findings.wrong().empty();
  }
  return failed;
}

/// A primary of our own in a private folder, and its administrator's token.
struct Own {
  testing::TempDir dir;
  std::unique_ptr<primary::Primary> server;

  Primary start() {
    const auto file = dir / "config.toml";
    ASTER_CHECK(create_config(file, {.start_mode = "primary"}).ok());
    const auto config = Config::load(file, {{"ASTER__SERVER__PORT", "0"}});
    ASTER_CHECK(config.ok());
    auto started =
        primary::Primary::start(*config, {.password_cost = {.memory_kib = 64, .passes = 1}});
    ASTER_CHECK(started.ok());
    server = std::move(*started);
    Primary out("127.0.0.1", server->port(), "");
    out.send("POST", "/api/v1/auth/setup", R"({"username":"root","password":"root password"})", "");
    const auto login = out.send("POST", "/api/v1/auth/login",
                                R"({"identifier":"root","password":"root password"})", "");
    out.admin_token = member(data_of(login), "token");
    ASTER_CHECK(!out.admin_token.empty());
    return out;
  }
};

Primary from_url(const std::string& url, const std::string& token_file) {
  const BaseUrl parts = split_base_url(*normalize_base_url(url));
  const std::string host = parts.origin.substr(parts.origin.find("//") + 2);
  const size_t colon = host.rfind(':');
  const auto port = colon == std::string::npos
                        ? uint16_t{80}
                        : static_cast<uint16_t>(std::stoi(host.substr(colon + 1)));
  Primary out(host.substr(0, colon), port, parts.path);
  const std::string token = testing::read_file(token_file);
  out.admin_token = token.substr(0, token.find('\n'));
  return out;
}

int run(int argc, char** argv) {
  CLI::App app{"Checks the enrolment endpoints of a primary against the protocol"};
  std::string url, token_file;
  app.add_option("--base-url", url, "Primary that runs (http); without: one is started in-process");
  app.add_option("--admin-token-file", token_file, "File with an administrator's bearer token");
  CLI11_PARSE(app, argc, argv);
  Own own;
  const size_t failed = run_rows(url.empty() ? own.start() : from_url(url, token_file));
  if (failed != 0) std::printf("%zu rows failed\n", failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace aster::conformance

int main(int argc, char** argv) {
  return aster::conformance::run(argc, argv);
}
