// Drives a follower through the rules of the protocol and prints one line for each. With --spawn it
// starts a fresh follower itself; else it takes the base URL and keys of one that runs (its binding
// must have no target yet, and what lies there is not touched outside the keys used here).
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iterator>

#include "protocol/base_url.h"
#include "server/follower/binding_store.h"
#include "tests/integration/conformance/rows.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace aster::conformance {
namespace {

constexpr char kMasterUrl[] = "https://drive.example";

/// A follower of our own with one binding, in a private folder.
struct Spawned {
  testing::TempDir dir;
  std::optional<testing::Process> process;

  Peer::Options start(const std::string& program);
};

Peer::Options Spawned::start(const std::string& program) {
  const SystemClock clock;
  const auto file = dir / "config.toml";
  testing::write_file(file, "[server]\nport = 0\nstart_mode = \"follower\"\n");
  auto store = follower::BindingStore::open((dir / "asterdrive.db").string(), clock);
  const follower::Enrollment enrollment{.name = "node",
                                        .master_url = kMasterUrl,
                                        .access_key = "rn_conformance",
                                        .secret_key = "rns_secret",
                                        .is_enabled = true,
                                        .resolved_transport = "direct"};
  ASTER_CHECK(store.ok() && (*store)->enroll(enrollment).ok());
  auto spawned = testing::Process::spawn(
      {.argv = {program, "--config", file.string()}, .output = dir / "log", .ready_pipe = true});
  ASTER_CHECK(spawned.ok());
  process.emplace(std::move(*spawned));
  const auto port = process->wait_ready();
  ASTER_CHECK(port.ok());
  return {.host = "127.0.0.1",
          .port = static_cast<uint16_t>(std::stoi(*port)),
          .credentials = {enrollment.access_key, enrollment.secret_key},
          .browser_origin = kMasterUrl};
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

size_t run_rows(const Peer& peer) {
  size_t failed = 0;
  for (const auto& group :
       {before_first_target(), identity_rows(), target_rows(), object_rows(), range_and_list_rows(),
        compose_rows(), browser_rows(), binding_rows()}) {
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
  std::string spawn, url, key, secret_file, origin;
  app.add_option("--spawn", spawn, "aster_drive to start");
  app.add_option("--base-url", url, "Follower that runs");
  app.add_option("--access-key", key);
  app.add_option("--secret-key-file", secret_file);
  app.add_option("--master-origin", origin, "Origin of the binding's primary");
  CLI11_PARSE(app, argc, argv);
  Spawned own;
  Peer::Options options;
  if (!spawn.empty()) {
    options = own.start(spawn);
  } else {
    options = from_url(url);
    std::string secret = testing::read_file(secret_file);
    while (secret.ends_with('\n')) secret.pop_back();
    options.credentials = {key, secret};
    options.browser_origin = origin;
  }
  const size_t failed = run_rows(Peer(options));
  if (failed != 0) std::printf("%zu rows failed\n", failed);
  if (own.process) {
    own.process->signal(SIGTERM);
    const auto status = own.process->wait();
    if (status != 0 || failed != 0) std::printf("%s", testing::read_file(own.dir / "log").c_str());
    return failed == 0 && status == 0 ? 0 : 1;
  }
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace aster::conformance

int main(int argc, char** argv) {
  return aster::conformance::run(argc, argv);
}
