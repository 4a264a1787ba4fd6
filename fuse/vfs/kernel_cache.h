#pragma once

#include <string>

#include "protocol/base/ids.h"

namespace aster {

/// What the kernel remembers and has to forget. Thread-safe; calls return at once and are carried
/// out in order on a thread of their own, because the kernel may need an answer from us first.
class KernelCache {
 public:
  virtual ~KernelCache() = default;
  /// Cached pages and attributes.
  virtual void drop_content(InodeNo ino) = 0;
  virtual void drop_attributes(InodeNo ino) = 0;
  /// `name` in `parent`, there or not; the listing of `parent` too.
  virtual void drop_entry(InodeNo parent, std::string name) = 0;
};

}  // namespace aster
