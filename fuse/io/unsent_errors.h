#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <vector>

#include "protocol/base/guarded.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"

namespace aster {

/// Why the last attempt to send a file's data failed, for as long as the data is unsent: for those
/// who ask what is wrong (/.aster/errors), not for the calls that report it. Thread-safe.
class UnsentErrors {
 public:
  struct Entry {
    InodeNo ino;
    Error error{Errc::io_error, {}};
    int64_t since = 0;      ///< unix ns of the first of these failures in a row
    uint64_t attempts = 0;  ///< how many there were
  };
  /// What became of an attempt at `now`. Success, or the file's end, makes it good.
  void note(InodeNo ino, const Result<void>& outcome, int64_t now);
  void forget(InodeNo ino);
  std::vector<Entry> all() const;

 private:
  mutable Guarded<std::map<uint64_t, Entry>> entries_;  // by inode
  std::atomic<size_t> count_ = 0;                       // success is the rule: it takes no lock
};

}  // namespace aster
