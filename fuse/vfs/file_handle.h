#pragma once

#include <fcntl.h>

#include <atomic>
#include <memory>

#include "fuse/io/file_content.h"
#include "protocol/base/clock.h"
#include "protocol/base/guarded.h"
#include "protocol/base/ids.h"

namespace aster {

/// A read that failed because a server was away. The kernel repeats a failed read-ahead at once
/// as a plain read, which would take a second whole deadline.
struct FailedRead {
  Error error{Errc::io_error, {}};
  uint64_t offset = 0;
  uint64_t end = 0;
  SteadyTime until{};  ///< reads that touch the range fail likewise before this
};

/// One open(2) of a regular file. Constant after construction, but for `failed` and
/// `seen_refusal`.
struct FileHandle {
  InodeNo ino;
  int flags = 0;  ///< as of open(2)
  std::shared_ptr<FileContent> content;
  std::shared_ptr<ReadAhead> ahead;

  Guarded<FailedRead> failed;
  std::atomic<uint64_t> seen_refusal{0};  ///< last failure in the background that was reported

  /// Whether reading through it moves atime on.
  bool counts_access() const { return (flags & O_ACCMODE) != O_WRONLY && (flags & O_NOATIME) == 0; }
  bool writes() const { return (flags & O_ACCMODE) != O_RDONLY; }
  bool appends() const { return (flags & O_APPEND) != 0; }
};

}  // namespace aster
