#pragma once

#include <unistd.h>

#include <memory>
#include <utility>

namespace aster {

/// A file descriptor that is closed when its owner goes. -1 is "none".
class UniqueFd {
 public:
  UniqueFd() noexcept = default;
  explicit UniqueFd(int fd) noexcept : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~UniqueFd() { reset(); }

  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  int release() noexcept { return std::exchange(fd_, -1); }
  void reset(int fd = -1) noexcept {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

/// Stateless deleter for C handles: `using CurlEasy = CHandle<CURL, curl_easy_cleanup>;`
template <class T, auto Release>
struct CRelease {
  void operator()(T* handle) const noexcept { Release(handle); }
};
template <class T, auto Release>
using CHandle = std::unique_ptr<T, CRelease<T, Release>>;

}  // namespace aster
