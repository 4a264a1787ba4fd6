#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <csignal>

#include "tests/support/process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_authority.h"

/// aster_drive as a service of systemd: what it says to its manager, and when it falls silent.
namespace aster {
namespace {

using testing::Process;

class Service : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string path = dir_ / "notify";
    manager_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(manager_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    testing::write_file(dir_ / "config.toml",
                        std::string("[server]\nport = 0\nstart_mode = \"") + GetParam() + "\"\n");
  }
  Process start(const std::string& watchdog_us) {
    Process::Options options;
    options.argv = {ASTER_DRIVE, "--config", dir_ / "config.toml"};
    options.env = {{"NOTIFY_SOCKET", dir_ / "notify"}, {"WATCHDOG_USEC", watchdog_us}};
    options.output = dir_ / "log";
    return std::move(Process::spawn(std::move(options)).value());
  }
  /// The next message; empty when none comes within `patience`.
  std::string heard(std::chrono::seconds patience = std::chrono::seconds(30)) {
    const timeval limit{patience.count(), 0};
    ::setsockopt(manager_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    char text[128];
    const ssize_t n = ::recv(manager_.get(), text, sizeof text, 0);
    return n < 0 ? std::string() : std::string(text, static_cast<size_t>(n));
  }

  testing::TempDir dir_;
  UniqueFd manager_;
};

TEST_P(Service, is_ready_then_beats_then_stops) {
  Process server = start("20000");
  EXPECT_EQ(heard(), "READY=1");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(heard(), "WATCHDOG=1");
  server.signal(SIGTERM);
  std::string last = heard();
  while (last == "WATCHDOG=1") last = heard();
  EXPECT_EQ(last, "STOPPING=1");
  EXPECT_EQ(server.wait(), 0);
}

TEST_P(Service, does_not_beat_unasked) {
  Process server = start("0");
  EXPECT_EQ(heard(), "READY=1");
  server.signal(SIGTERM);
  EXPECT_EQ(heard(), "STOPPING=1");
  EXPECT_EQ(server.wait(), 0);
}

TEST_P(Service, reads_its_certificate_again_on_sighup) {
  const testing::TestAuthority authority(dir_ / "tls");
  const auto old = authority.issue("server");
  std::string config = testing::read_file(dir_ / "config.toml");
  config += "tls_certificate = \"tls/server.pem\"\ntls_key = \"tls/server.key\"\n";
  testing::write_file(dir_ / "config.toml", config);
  Process server = start("0");
  EXPECT_EQ(heard(), "READY=1");
  const auto fresh = authority.issue("server");
  ASSERT_NE(fresh.pin, old.pin);
  const auto reload = [&] {
    server.signal(SIGHUP);
    EXPECT_EQ(heard().rfind("RELOADING=1\nMONOTONIC_USEC=", 0), 0u);
    EXPECT_EQ(heard(), "READY=1");
  };
  reload();
  EXPECT_TRUE(server.wait_for_output("event=reloaded").ok());
  testing::write_file(fresh.key, "no key\n");
  reload();
  EXPECT_TRUE(server.wait_for_output("event=not_reloaded").ok());
  EXPECT_NE(testing::read_file(dir_ / "log").find("server.key"), std::string::npos);
  server.signal(SIGTERM);
  EXPECT_EQ(heard(), "STOPPING=1");
  EXPECT_EQ(server.wait(), 0);
}

INSTANTIATE_TEST_SUITE_P(Modes, Service, ::testing::Values("primary", "follower"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace aster
