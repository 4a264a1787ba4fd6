#pragma once

#include <fcntl.h>

#include <memory>

#include "fuse/io/file_content.h"
#include "protocol/base/ids.h"

namespace aster {

/// One open(2) of a regular file. Constant after construction.
struct FileHandle {
  InodeNo ino;
  int flags = 0;  ///< as of open(2)
  std::shared_ptr<FileContent> content;
  std::shared_ptr<ReadAhead> ahead;

  bool writes() const { return (flags & O_ACCMODE) != O_RDONLY; }
  bool appends() const { return (flags & O_APPEND) != 0; }
};

}  // namespace aster
