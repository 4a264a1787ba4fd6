#include <sys/socket.h>

#include <optional>

#include "protocol/base/config.h"
#include "protocol/base/log.h"
#include "protocol/sign/signature.h"
#include "server/follower/binding_store.h"
#include "server/follower/follower.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/raw_client.h"
#include "tests/support/temp_dir.h"

namespace {

using namespace aster;

constexpr std::string_view kBase = "/api/v1/internal/storage";

/// A whole follower with a target, on a socket of its own; lives as long as the program.
class Server {
 public:
  Server() {
    log::set_level(log::Level::off);
    testing::write_file(dir_ / "config.toml", "[server]\nport = 0\nstart_mode = \"follower\"\n");
    auto store = follower::BindingStore::open((dir_ / "asterdrive.db").string(), clock_);
    const auto enrolled = (*store)->enroll({.name = "n",
                                            .master_url = "http://127.0.0.1:1",
                                            .access_key = "rn_1",
                                            .secret_key = "rns_1",
                                            .is_enabled = true});
    EXPECT(enrolled.ok());
    const auto config = Config::load(dir_ / "config.toml", {});
    EXPECT(config.ok());
    auto started = follower::Follower::start(*config);
    EXPECT(started.ok());
    follower_ = std::move(*started);
    const auto made = signed_call("POST", std::string(kBase) + "/targets",
                                  R"({"driver_type":"local","name":"t","base_path":"t"})");
    EXPECT(made && made->status == 201);
  }

  /// The answer to raw bytes, after which the sending side ends; nullopt for none.
  std::optional<testing::RawAnswer> raw(std::string_view bytes) {
    testing::RawClient client(follower_->port());
    client.send(bytes);
    client.end_sending();
    return client.receive(bytes.starts_with("HEAD "));
  }
  std::optional<testing::RawAnswer> signed_call(const std::string& method,
                                                const std::string& target,
                                                const std::string& body) {
    std::string text = method + " " + target + " HTTP/1.1\r\n";
    for (const auto& [name, value] : signer_.sign(method, target, body.size())) {
      text += name + ": " + value + "\r\n";
    }
    text += "User-Agent: AsterDrive/0.5.0\r\nContent-Length: " + std::to_string(body.size());
    return raw(text + "\r\n\r\n" + body);
  }

 private:
  testing::TempDir dir_;
  SystemClock clock_;
  sign::Signer signer_{{"rn_1", "rns_1"}, clock_};
  std::unique_ptr<follower::Follower> follower_;
};

bool can_stand_in_a_request_line(std::string_view text) {
  for (const char c : text) {
    if (c <= ' ' || c >= 127) return false;
  }
  return !text.empty();
}

}  // namespace

/// Input: either raw bytes of a request, or, after an 'S', "METHOD TAIL\nBODY", which is sent below
/// the storage path with a right signature. Whatever comes, an answer is well formed, strangers
/// never get a success below the storage path, and the follower lives on.
void fuzz_one(std::string_view input) {
  static Server server;
  if (input.starts_with('S')) {
    const std::string_view line = input.substr(1, input.find('\n') - 1);
    const std::string_view method = line.substr(0, line.find(' '));
    const std::string_view tail = line.substr(std::min(method.size() + 1, line.size()));
    const size_t end = input.find('\n');
    const std::string body(end == std::string_view::npos ? "" : input.substr(end + 1));
    if (!can_stand_in_a_request_line(method) || !can_stand_in_a_request_line(tail)) return;
    const auto answer =
        server.signed_call(std::string(method), std::string(kBase) + std::string(tail), body);
    if (answer) EXPECT(answer->status >= 200 && answer->status < 600);
  } else {
    const auto answer = server.raw(input);
    if (!answer) return;
    EXPECT(answer->status >= 100 && answer->status < 600);
    const std::string_view line = input.substr(0, input.find('\r'));
    if (line.find(kBase) != std::string_view::npos &&
        line.find("health") == std::string_view::npos) {
      EXPECT(answer->status / 100 != 2 || answer->status == 204);  // a preflight needs no key
    }
  }
}
