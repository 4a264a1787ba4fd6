#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "tests/support/tcp_proxy.h"

/// tcp_proxy PORT DELAY_MS: a proxy in front of 127.0.0.1:PORT that adds the delay in each
/// direction. Prints its own port and runs until it is killed.
int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: tcp_proxy PORT ONE_WAY_DELAY_MS\n");
    return 2;
  }
  const auto port = static_cast<uint16_t>(std::atoi(argv[1]));
  const aster::testing::TcpProxy proxy(port, std::chrono::milliseconds(std::atoi(argv[2])));
  std::printf("%u\n", static_cast<unsigned>(proxy.port()));
  std::fflush(stdout);
  ::pause();
}
