// Drives a follower through the rules of the protocol and prints one line for each. It starts a
// fresh follower itself, as a process (--spawn) or inside its own; with --base-url it takes the
// base URL and keys of one that runs (its binding must have no target yet, and what lies there is
// not touched outside the keys used here).
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iterator>

#include "protocol/base_url.h"
#include "server/follower/binding_store.h"
#include "server/follower/follower.h"
#include "tests/integration/conformance/rows.h"
#include "tests/support/process.h"
#include "tests/support/s3_server.h"
#include "tests/support/temp_dir.h"

namespace aster::conformance {
namespace {

constexpr char kMasterUrl[] = "https://127.0.0.1:1";  // nobody is there to be asked

/// What a target in the test server's bucket needs.
std::string s3_members(const testing::S3Server& server) {
  const auto member = [](const char* name, const std::string& value) {
    return std::string("\"") + name + "\":\"" + value + "\"";
  };
  return member("endpoint", server.endpoint()) + "," +
         member("bucket", testing::S3Server::kBucket) + "," +
         member("access_key", testing::S3Server::kAccessKey) + "," +
         member("secret_key", testing::S3Server::kSecretKey);
}

/// A follower of our own with one binding, in a private folder: a process, or inside this one (for
/// sanitizers and debuggers).
struct Own {
  testing::TempDir dir;
  std::optional<testing::Process> process;
  std::unique_ptr<follower::Follower> inside;

  Peer::Options start(const std::string& program);
  /// False when the process did not end as it should.
  bool stop();

 private:
  uint16_t start_process(const std::string& program);
  uint16_t start_inside();
  std::filesystem::path config() const { return dir / "config.toml"; }
};

uint16_t Own::start_process(const std::string& program) {
  auto spawned = testing::Process::spawn({.argv = {program, "--config", config().string()},
                                          .output = dir / "log",
                                          .ready_pipe = true});
  ASTER_CHECK(spawned.ok());
  process.emplace(std::move(*spawned));
  const auto port = process->wait_ready();
  ASTER_CHECK(port.ok());
  return static_cast<uint16_t>(std::stoi(*port));
}

uint16_t Own::start_inside() {
  const auto loaded = Config::load(config(), {});
  ASTER_CHECK(loaded.ok());
  auto started = follower::Follower::start(*loaded);
  ASTER_CHECK(started.ok());
  inside = std::move(*started);
  return inside->port();
}

Peer::Options Own::start(const std::string& program) {
  const SystemClock clock;
  testing::write_file(config(), "[server]\nport = 0\nstart_mode = \"follower\"\n");
  auto store = follower::BindingStore::open((dir / "asterdrive.db").string(), clock);
  const follower::Enrollment enrollment{.name = "node",
                                        .master_url = kMasterUrl,
                                        .access_key = "rn_conformance",
                                        .secret_key = "rns_secret",
                                        .is_enabled = true,
                                        .resolved_transport = "direct"};
  ASTER_CHECK(store.ok() && (*store)->enroll(enrollment).ok());
  follower::Enrollment second = enrollment;
  second.access_key = "rn_second";
  second.secret_key = "rns_other";
  second.is_enabled = false;  // enabled by its rows: else the follower is not ready before
  ASTER_CHECK((*store)->enroll(second).ok());
  const uint16_t port = program.empty() ? start_inside() : start_process(program);
  return {.host = "127.0.0.1",
          .port = port,
          .credentials = {enrollment.access_key, enrollment.secret_key},
          .browser_origin = kMasterUrl,
          .second = sign::Credentials{second.access_key, second.secret_key}};
}

bool Own::stop() {
  if (inside) inside->stop(std::chrono::seconds(5));
  if (!process) return true;
  process->signal(SIGTERM);
  return process->wait() == 0;
}

Peer::Options from_url(const std::string& url) {
  const BaseUrl parts = split_base_url(*normalize_base_url(url));
  std::string host = parts.origin.substr(parts.origin.find("//") + 2);
  const size_t colon = host.rfind(':');
  Peer::Options out;
  out.port = colon == std::string::npos ? uint16_t{80}
                                        : static_cast<uint16_t>(std::stoi(host.substr(colon + 1)));
  out.host = host.substr(0, colon);
  out.prefix = parts.path;
  return out;
}

std::string first_line(const std::string& file) {
  const std::string text = testing::read_file(file);
  return text.substr(0, text.find('\n'));
}

size_t run_rows(const Peer& peer) {
  size_t failed = 0;
  std::vector<std::vector<Row>> groups{before_first_target(), matrix_rows_without_target(),
                                       identity_rows(),       target_rows(),
                                       attack_rows(),         object_rows(),
                                       range_and_list_rows(), compose_rows(),
                                       browser_rows(),        matrix_rows(),
                                       vector_rows(),         detail_rows(),
                                       binding_rows(),        matrix_rows_of_a_disabled_binding()};
  if (peer.options().second) groups.push_back(two_binding_rows());
  for (const auto& group : groups) {
    for (const Row& row : group) {
      Findings findings;
      row.check(peer, findings);
      std::printf("%-5s | %-64s | %s\n", row.section.c_str(), row.text.c_str(),
                  findings.wrong().empty() ? "passed" : "FAILED");
      for (const std::string& wrong : findings.wrong()) std::printf("      %s\n", wrong.c_str());
      failed += !findings.wrong().empty();
    }
  }
  return failed;
}

int run(int argc, char** argv) {
  CLI::App app{"Checks a follower against the protocol"};
  std::string spawn, url, key, secret_file, origin, second_key, second_secret_file;
  app.add_option("--spawn", spawn, "aster_drive to start; without this and --base-url: in-process");
  app.add_option("--base-url", url, "Follower that runs");
  app.add_option("--access-key", key);
  app.add_option("--secret-key-file", secret_file);
  app.add_option("--master-origin", origin, "Origin of the binding's primary");
  app.add_option("--second-access-key", second_key, "Of another binding there (fresh, too)");
  app.add_option("--second-secret-key-file", second_secret_file);
  bool s3 = false;
  app.add_flag("--s3", s3,
               "The default target lies in a bucket of tools/install-s3-server's server");
  CLI11_PARSE(app, argc, argv);
  if (const auto missing = s3 ? testing::S3Server::missing() : std::nullopt) {
    std::printf("skipped: %s\n", missing->c_str());
    return 77;
  }
  const auto server = s3 ? testing::S3Server::start() : nullptr;
  if (s3 && !server) return 1;
  Own own;
  Peer::Options options;
  if (url.empty()) {
    options = own.start(spawn);
  } else {
    options = from_url(url);
    options.credentials = {key, first_line(secret_file)};
    if (!second_key.empty()) options.second = {second_key, first_line(second_secret_file)};
    options.browser_origin = origin;
  }
  if (server) options.s3_members = s3_members(*server);
  const size_t failed = run_rows(Peer(options));
  if (failed != 0) std::printf("%zu rows failed\n", failed);
  const bool good = own.stop() && failed == 0;
  if (!good && own.process) std::printf("%s", testing::read_file(own.dir / "log").c_str());
  return good ? 0 : 1;
}

}  // namespace
}  // namespace aster::conformance

int main(int argc, char** argv) {
  return aster::conformance::run(argc, argv);
}
