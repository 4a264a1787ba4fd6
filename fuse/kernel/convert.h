#pragma once

#include <fuse_lowlevel.h>
#include <sys/stat.h>

#include <chrono>

#include "fuse/kernel/node_ids.h"
#include "fuse/vfs/types.h"

namespace aster {

inline double seconds(Duration d) {
  return std::chrono::duration<double>(d).count();
}
inline timespec to_timespec(int64_t ns) {
  // Floor, so that the nanoseconds of times before 1970 are not negative.
  const int64_t rest = ((ns % 1'000'000'000) + 1'000'000'000) % 1'000'000'000;
  return {(ns - rest) / 1'000'000'000, rest};
}
inline int64_t to_ns(const timespec& time) {
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

/// The S_IFMT bits of a type.
mode_t type_bits(fs::FileType type);
/// The type of S_IFMT bits; regular when there are none.
fs::FileType file_type(mode_t mode);
struct stat to_stat(const fs::Attr& attr);
fuse_entry_param to_entry(const NodeIds& ids, const Entry& entry);

}  // namespace aster
