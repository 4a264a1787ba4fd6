#pragma once

#include <vector>

#include "protocol/base/ids.h"
#include "protocol/base/task.h"

namespace aster {

/// Written data that waits in the journal, as LocalNames sees it when somebody else wants it.
/// Thread-safe.
class KeptContent {
 public:
  virtual ~KeptContent() = default;
  /// Sends what waits of these files. Failures are logged, the data is sent again later.
  virtual Task<void> send_content(std::vector<InodeNo> inodes) = 0;
  /// They are no longer leased for writing: times and counts of changes that were made here are
  /// the primary's from now on.
  virtual void given_back(const std::vector<InodeNo>& inodes) = 0;
};

}  // namespace aster
