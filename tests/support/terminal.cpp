#include "tests/support/terminal.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace aster::testing {

Terminal::Terminal() : master_(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
  char name[64];
  if (!master_ || ::grantpt(master_.get()) != 0 || ::unlockpt(master_.get()) != 0 ||
      ::ptsname_r(master_.get(), name, sizeof name) != 0) {
    std::perror("make a terminal");
    std::abort();
  }
  path_ = name;
}

std::string Terminal::read() {
  std::string all;
  char piece[4096];
  // EIO once everything that the last writer left was read.
  for (ssize_t n; (n = ::read(master_.get(), piece, sizeof piece)) > 0;) {
    all.append(piece, static_cast<size_t>(n));
  }
  return all;
}

}  // namespace aster::testing
