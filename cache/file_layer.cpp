#include "cache/file_layer.h"

namespace aster {

ssize_t FileLayer::read(int fd, std::span<const iovec> pieces, uint64_t offset) {
  return ::preadv(fd, pieces.data(), static_cast<int>(pieces.size()), static_cast<off_t>(offset));
}

ssize_t FileLayer::write(int fd, std::span<const iovec> pieces, uint64_t offset) {
  return ::pwritev(fd, pieces.data(), static_cast<int>(pieces.size()), static_cast<off_t>(offset));
}

FileLayer& system_files() {
  static FileLayer files;
  return files;
}

}  // namespace aster
