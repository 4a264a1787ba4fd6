#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <optional>

#include "server/follower/binding_store.h"
#include "tests/integration/conformance/peer.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace aster::testing {

/// A real follower process in a private folder, as a primary with one binding sees it. ASTER_DRIVE
/// is the program.
class FollowerProcess : public ::testing::Test {
 protected:
  using Env = std::vector<std::pair<std::string, std::string>>;
  using Path = std::filesystem::path;

  Path data() const { return dir_ / "data"; }
  Path config() const { return data() / "config.toml"; }
  Path managed() const { return data() / "remote-storage-targets/main"; }
  std::string log() const { return read_file(dir_ / "log"); }

  /// A binding, without a primary. `more` goes into the configuration.
  void prepare(const std::string& more = "") {
    std::filesystem::create_directory(data());
    write_file(config(), "[server]\nstart_mode = \"follower\"\n" + more);
    const SystemClock clock;
    auto store = follower::BindingStore::open((data() / "asterdrive.db").string(), clock);
    ASSERT_TRUE((*store)
                    ->enroll({.name = "node",
                              .master_url = "http://127.0.0.1:1",
                              .access_key = "rn_one",
                              .secret_key = "rns_one",
                              .is_enabled = true,
                              .storage_namespace = "space-1"})
                    .ok());
  }
  void start(Env env = {}) {
    env.emplace_back("ASTER__SERVER__PORT", "0");
    auto spawned = Process::spawn({.argv = {ASTER_DRIVE, "serve"},
                                   .env = env,
                                   .output = dir_ / "log",
                                   .working_dir = dir_.path(),
                                   .ready_pipe = true});
    ASSERT_TRUE(spawned.ok()) << spawned.error().message();
    process_.emplace(std::move(*spawned));
    const auto port = process_->wait_ready();
    ASSERT_TRUE(port.ok()) << log();
    peer_.emplace(conformance::Peer::Options{.host = "127.0.0.1",
                                             .port = static_cast<uint16_t>(std::stoi(*port)),
                                             .credentials = {"rn_one", "rns_one"}});
  }
  void make_target() {
    ASSERT_EQ(
        peer_->json("POST", "/targets", R"({"driver_type":"local","name":"t","base_path":"main"})")
            .status,
        201);
  }
  /// Temporary files of uploads.
  size_t temps() const {
    size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(managed() / ".aster-tmp")) {
      count += entry.is_regular_file();
    }
    return count;
  }

  TempDir dir_;
  std::optional<Process> process_;
  std::optional<conformance::Peer> peer_;
};

}  // namespace aster::testing
