#pragma once

#include <fcntl.h>

#include <string>

namespace aster::testing {

/// What an NFS server keeps of a file (name_to_handle_at(2)).
class NodeHandle {
 public:
  explicit NodeHandle(const std::string& path) {
    handle()->handle_bytes = MAX_HANDLE_SZ;
    int mount = 0;
    valid_ = ::name_to_handle_at(AT_FDCWD, path.c_str(), handle(), &mount, 0) == 0;
  }

  bool valid() const { return valid_; }
  /// As open(2); `place` is any open file of the mount.
  int open(int place, int flags) { return ::open_by_handle_at(place, handle(), flags | O_CLOEXEC); }

 private:
  file_handle* handle() { return reinterpret_cast<file_handle*>(memory_); }

  alignas(file_handle) char memory_[sizeof(file_handle) + MAX_HANDLE_SZ] = {};
  bool valid_ = false;
};

}  // namespace aster::testing
