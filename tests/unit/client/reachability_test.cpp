#include "protocol/client/reachability.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "protocol/base/unique_handle.h"

namespace aster {
namespace {

constexpr std::chrono::milliseconds kLong{10000};

class Refusal : public ::testing::Test {
 protected:
  /// A port of this machine that is ours, listening or not.
  void SetUp() override {
    socket_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    ASSERT_EQ(::bind(socket_.get(), generic, size), 0);
    ASSERT_EQ(::getsockname(socket_.get(), generic, &size), 0);
    port_ = std::to_string(ntohs(address.sin_port));
  }
  UniqueFd socket_;
  std::string port_;
};

TEST_F(Refusal, is_seen_where_nobody_listens) {
  EXPECT_TRUE(refuses_connections("http://127.0.0.1:" + port_, kLong));
  EXPECT_TRUE(refuses_connections("https://me@127.0.0.1:" + port_ + "/path:1", kLong));
}

TEST_F(Refusal, is_not_seen_where_somebody_listens) {
  ASSERT_EQ(::listen(socket_.get(), 1), 0);
  EXPECT_FALSE(refuses_connections("http://127.0.0.1:" + port_, kLong));
}

TEST_F(Refusal, is_not_concluded_from_anything_else) {
  EXPECT_FALSE(refuses_connections("http://no-such-host.invalid:" + port_, kLong));
  EXPECT_FALSE(refuses_connections("http://240.0.0.1:9", std::chrono::milliseconds(1)));
  EXPECT_FALSE(refuses_connections("not a URL", kLong));
}

}  // namespace
}  // namespace aster
