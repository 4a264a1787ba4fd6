#include <openssl/crypto.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <optional>

#include "protocol/base/config.h"
#include "protocol/base/log.h"
#include "server/files/file_api.h"
#include "server/primary/policy_json.h"
#include "server/primary/primary_main.h"
#include "server/primary/token_scope.h"
#include "server/webdav/front_end.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/raw_client.h"
#include "tests/support/temp_dir.h"

namespace {

using namespace aster;

/// A whole primary with an administrator "root" and a local policy, on a socket of its own.
class Server {
 public:
  Server() {
    log::set_level(log::Level::off);
    testing::write_file(dir_ / "config.toml", "[server]\nport = 0\nstart_mode = \"primary\"\n");
    const auto config = Config::load(dir_ / "config.toml", {});
    EXPECT(config.ok());
    primary::PrimaryOptions options{.password_cost = {.memory_kib = 64, .passes = 1}};
    options.front_ends = {webdav::make_front_end, files::make_front_end};
    auto started = primary::Primary::start(*config, std::move(options));
    EXPECT(started.ok());
    primary_ = std::move(*started);
    const std::string who = R"({"username":"root","password":"root password"})";
    const auto set_up = call("POST", "/api/v1/auth/setup", who);
    EXPECT(set_up && set_up->status == 201);
    const auto login =
        call("POST", "/api/v1/auth/login", R"({"identifier":"root","password":"root password"})");
    EXPECT(login && login->status == 200);
    const std::string_view begin = "\"token\":\"";
    const size_t at = login->body.find(begin);
    EXPECT(at != std::string::npos);
    const size_t from = at + begin.size();
    token_ = login->body.substr(from, login->body.find('"', from) - from);
    EXPECT(knows_me());
    const auto policy = call("POST", "/api/v1/admin/policies",
                             R"({"name":"p","driver_type":"local","is_default":true})");
    EXPECT(policy && policy->status == 201);
  }

  std::optional<testing::RawAnswer> call(std::string_view method, std::string_view target,
                                         std::string_view body) {
    std::string text = std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: d\r\n";
    if (!token_.empty()) text += "Authorization: Bearer " + token_ + "\r\n";
    text += "Connection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n";
    testing::RawClient client(primary_->port());
    client.send(text + std::string(body));
    return client.receive(method == "HEAD");
  }
  bool knows_me() {
    const auto me = call("GET", "/api/v1/auth/me", {});
    return me && me->status == 200;
  }

 private:
  testing::TempDir dir_;
  std::unique_ptr<primary::Primary> primary_;
  std::string token_;
};

bool can_stand_in_a_request_line(std::string_view text) {
  for (const char c : text) {
    if (c <= ' ' || c >= 127) return false;
  }
  return !text.empty();
}

/// Calls that never end or that go out to other machines.
bool is_left_out(std::string_view target) {
  constexpr std::array<std::string_view, 4> kLeftOut = {"/events", "/test", "/storage-targets",
                                                        "/logout"};
  for (const std::string_view word : kLeftOut) {
    if (target.find(word) != std::string_view::npos) return true;
  }
  return false;
}

/// What is kept in the database or shown must be taken again, as the same.
void read_texts(std::string_view input) {
  if (const auto place = primary::parse_place(input); place.ok()) {
    const auto again = primary::parse_place(primary::to_text(*place));
    EXPECT(again.ok() && again->workspace == place->workspace && again->path == place->path);
  }
  if (const auto scope = primary::decode_token_scope(input); scope.ok()) {
    const std::string text = primary::encode(*scope);
    const auto again = primary::decode_token_scope(text);
    EXPECT(again.ok() && primary::encode(*again) == text);
  }
  if (const auto path = content::decode_path(input); path.ok()) {
    const auto again = content::decode_path(content::encode_path(*path));
    EXPECT(again.ok() && *again == *path);
  }
  for (const bool creating : {true, false}) {
    const auto row = primary::apply_policy_json({}, input, creating);
    if (row.ok()) (void)primary::parse_policy(*row);
  }
}

}  // namespace

/// Input: "METHOD TARGET\nBODY", sent to the API as an administrator. Whatever comes, it is
/// answered, and never with an error that the server blames on itself.
void fuzz_one(std::string_view input) {
  // Before the server, so that OpenSSL's own end at exit comes after that of the server's threads.
  static const int openssl = OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CRYPTO_STRINGS, nullptr);
  if (openssl != 1) std::abort();
  static std::unique_ptr<Server> server;
  const size_t end = input.find('\n');
  const std::string_view line = input.substr(0, end);
  const std::string_view body = end == input.npos ? std::string_view() : input.substr(end + 1);
  read_texts(body);
  const std::string_view method = line.substr(0, line.find(' '));
  const std::string_view target = line.substr(std::min(method.size() + 1, line.size()));
  if (!can_stand_in_a_request_line(method) || !can_stand_in_a_request_line(target)) return;
  if (!target.starts_with("/api/") || is_left_out(target)) return;
  if (!server) server = std::make_unique<Server>();
  const auto answer = server->call(method, target, body);
  EXPECT(answer && answer->status >= 200 && answer->status < 600);
  EXPECT(answer->status != 500);
  // It may have locked itself out.
  if (answer->status == 401 && !server->knows_me()) server.reset();
}
