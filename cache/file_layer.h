#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <span>

namespace aster {

/// The system calls that segment bytes go through, so that tests can fill the disk or break it.
/// Thread-safe. Same results and errno as preadv(2) and pwritev(2).
class FileLayer {
 public:
  virtual ~FileLayer() = default;
  virtual ssize_t read(int fd, std::span<const iovec> pieces, uint64_t offset);
  virtual ssize_t write(int fd, std::span<const iovec> pieces, uint64_t offset);
};

/// The real one.
FileLayer& system_files();

}  // namespace aster
