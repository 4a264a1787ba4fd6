#pragma once

#include <fuse_lowlevel.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdint>

#include "fuse/kernel/node_ids.h"
#include "fuse/vfs/types.h"

namespace aster {

inline double seconds(Duration d) {
  return std::chrono::duration<double>(d).count();
}
inline timespec to_timespec(int64_t ns) {
  // Floor, so that the nanoseconds of times before 1970 are not negative.
  const int64_t rest = ns % 1'000'000'000;
  const int64_t whole = ns / 1'000'000'000;
  return rest < 0 ? timespec{whole - 1, rest + 1'000'000'000} : timespec{whole, rest};
}
/// Times outside of what 64 bits of nanoseconds hold (the years 1677 to 2262) become the nearest
/// that is inside, as utimensat(2) says of the range of a file system.
inline int64_t to_ns(const timespec& time) {
  int64_t ns = 0;
  if (__builtin_mul_overflow(int64_t{time.tv_sec}, int64_t{1'000'000'000}, &ns) ||
      __builtin_add_overflow(ns, int64_t{time.tv_nsec}, &ns)) {
    return time.tv_sec < 0 ? INT64_MIN : INT64_MAX;
  }
  return ns;
}

/// The S_IFMT bits of a type.
mode_t type_bits(fs::FileType type);
/// The type of S_IFMT bits; regular when there are none.
fs::FileType file_type(mode_t mode);
struct stat to_stat(const fs::Attr& attr);
fuse_entry_param to_entry(const NodeIds& ids, const Entry& entry);

}  // namespace aster
