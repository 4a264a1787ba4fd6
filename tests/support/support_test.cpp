#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <thread>

#include "tests/support/fake_clock.h"
#include "tests/support/process.h"
#include "tests/support/tcp_proxy.h"
#include "tests/support/temp_dir.h"

namespace aster::testing {
namespace {

using std::chrono::milliseconds;

TEST(TempDir, is_private_and_gone_with_its_owner) {
  std::filesystem::path path;
  {
    TempDir dir;
    path = dir.path();
    write_file(dir / "file", "content");
    EXPECT_EQ(read_file(dir / "file"), "content");
    const auto mode = std::filesystem::status(path).permissions();
    EXPECT_EQ(mode, std::filesystem::perms::owner_all);
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(FakeClock, moves_only_when_told) {
  FakeClock clock;
  const auto before = clock.steady();
  EXPECT_EQ(clock.steady(), before);
  clock.advance(std::chrono::seconds(3));
  EXPECT_EQ(clock.steady() - before, std::chrono::seconds(3));
}

Process::Options shell(const std::string& script) {
  Process::Options options;
  options.argv = {"sh", "-c", script};
  return options;
}

TEST(Process, reports_the_exit_status) {
  auto child = Process::spawn(shell("exit 7"));
  ASSERT_TRUE(child.ok());
  EXPECT_EQ(child->wait(), 7);
}

TEST(Process, a_missing_program_is_an_error) {
  Process::Options options;
  options.argv = {"/nonexistent/program"};
  EXPECT_TRUE(Process::spawn(options).failed_with(Errc::not_found));
}

TEST(Process, passes_environment_and_captures_output) {
  TempDir dir;
  auto options = shell("echo \"$WORD\"; echo error >&2; sleep 60");
  options.env = {{"WORD", "hello there"}};
  options.output = dir / "out";
  auto child = Process::spawn(options);
  ASSERT_TRUE(child.ok());
  EXPECT_TRUE(child->wait_for_output("hello there\nerror\n").ok());
}

TEST(Process, waits_for_the_ready_line) {
  auto options = shell("echo port 17 >&$ASTER_READY_FD; sleep 60");
  options.ready_pipe = true;
  auto child = Process::spawn(options);
  ASSERT_TRUE(child.ok());
  EXPECT_EQ(*child->wait_ready(), "port 17");
  EXPECT_TRUE(child->running());
  child->kill();
  EXPECT_EQ(child->wait(), 128 + SIGKILL);
}

TEST(Process, a_child_that_dies_early_ends_the_waits) {
  TempDir dir;
  auto options = shell("exit 1");
  options.ready_pipe = true;
  auto child = Process::spawn(options);
  ASSERT_TRUE(child.ok());
  EXPECT_TRUE(child->wait_ready().failed_with(Errc::unavailable));
  const auto any = [](const std::string&) { return true; };
  EXPECT_TRUE(child->wait_for_file(dir / "never", any).failed_with(Errc::unavailable));
}

TEST(Process, waits_end_at_their_deadline) {
  TempDir dir;
  auto child = Process::spawn(shell("sleep 60"));
  ASSERT_TRUE(child.ok());
  const auto any = [](const std::string&) { return true; };
  EXPECT_EQ(child->wait(milliseconds(5)), std::nullopt);
  EXPECT_TRUE(child->wait_for_file(dir / "never", any, milliseconds(5)).failed_with(Errc::timeout));
}

TEST(Process, is_reaped_by_its_destructor) {
  pid_t pid;
  {
    auto child = Process::spawn(shell("sleep 60"));
    ASSERT_TRUE(child.ok());
    pid = child->pid();
  }
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

/// A listening socket and what tests do with plain sockets.
class TcpProxyTest : public ::testing::Test {
 protected:
  TcpProxyTest() : server_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = local(0);
    socklen_t length = sizeof address;
    auto* raw = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(server_.get(), raw, sizeof address), 0);
    EXPECT_EQ(::listen(server_.get(), 8), 0);
    EXPECT_EQ(::getsockname(server_.get(), raw, &length), 0);
    server_port_ = ntohs(address.sin_port);
  }
  static sockaddr_in local(uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    return address;
  }
  static UniqueFd connect_to(uint16_t port) {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in address = local(port);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  UniqueFd accept() const { return UniqueFd(::accept(server_.get(), nullptr, nullptr)); }
  static void send_text(const UniqueFd& fd, const std::string& text) {
    EXPECT_EQ(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  static std::string receive(const UniqueFd& fd, size_t size) {
    std::string text(size, '\0');
    text.resize(static_cast<size_t>(
        std::max<ssize_t>(0, ::recv(fd.get(), text.data(), size, MSG_WAITALL))));
    return text;
  }
  static bool silent(const UniqueFd& fd, int ms) {
    pollfd readable{fd.get(), POLLIN, 0};
    return ::poll(&readable, 1, ms) == 0;
  }

  UniqueFd server_;
  uint16_t server_port_ = 0;
};

TEST_F(TcpProxyTest, carries_bytes_both_ways_and_the_end) {
  TcpProxy proxy(server_port_);
  UniqueFd client = connect_to(proxy.port());
  UniqueFd peer = accept();
  const std::string big(3 << 20, 'x');
  std::thread sender([&] {
    send_text(client, big);
    ::shutdown(client.get(), SHUT_WR);
  });
  EXPECT_EQ(receive(peer, big.size()), big);
  EXPECT_EQ(receive(peer, 1), "");
  sender.join();
  send_text(peer, "answer");
  peer.reset();
  EXPECT_EQ(receive(client, 6), "answer");
  EXPECT_EQ(receive(client, 1), "");
  EXPECT_EQ(proxy.bytes_to_target(), big.size());
  EXPECT_EQ(proxy.bytes_from_target(), 6u);
}

TEST_F(TcpProxyTest, delays_each_direction) {
  TcpProxy proxy(server_port_, milliseconds(10));
  UniqueFd client = connect_to(proxy.port());
  const auto begin = std::chrono::steady_clock::now();
  send_text(client, "ping");
  UniqueFd peer = accept();
  EXPECT_EQ(receive(peer, 4), "ping");
  send_text(peer, "pong");
  EXPECT_EQ(receive(client, 4), "pong");
  // Handshake, there, back: never less than the link's own time.
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(40));
}

TEST_F(TcpProxyTest, cut_resets_connections_until_restored) {
  TcpProxy proxy(server_port_);
  UniqueFd client = connect_to(proxy.port());
  UniqueFd peer = accept();
  send_text(client, "x");
  EXPECT_EQ(receive(peer, 1), "x");
  proxy.cut();
  EXPECT_EQ(receive(peer, 1), "");
  EXPECT_EQ(receive(client, 1), "");
  EXPECT_EQ(receive(connect_to(proxy.port()), 1), "");
  proxy.restore();
  UniqueFd again = connect_to(proxy.port());
  UniqueFd peer_again = accept();
  send_text(again, "y");
  EXPECT_EQ(receive(peer_again, 1), "y");
}

TEST_F(TcpProxyTest, stall_holds_bytes_back_until_restored) {
  TcpProxy proxy(server_port_);
  UniqueFd client = connect_to(proxy.port());
  UniqueFd peer = accept();
  send_text(client, "x");
  EXPECT_EQ(receive(peer, 1), "x");
  proxy.stall();
  send_text(client, "y");
  EXPECT_TRUE(silent(peer, 5));
  proxy.restore();
  EXPECT_EQ(receive(peer, 1), "y");
}

TEST_F(TcpProxyTest, a_dead_target_resets_the_client) {
  TcpProxy proxy(server_port_);
  server_.reset();
  UniqueFd client = connect_to(proxy.port());
  EXPECT_EQ(receive(client, 1), "");
}

}  // namespace
}  // namespace aster::testing
