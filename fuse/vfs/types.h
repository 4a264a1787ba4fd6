#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "protocol/base/clock.h"
#include "protocol/fs/messages.h"

namespace aster {

class WriteLeases;
class WritebackJournal;

/// Who asks. Cheap to copy.
struct Caller {
  uint32_t uid = 0;
  uint32_t gid = 0;
  /// Set once the caller got its answer (interrupted): work that would only be repeated for its
  /// sake may stop. Null for callers that always wait.
  std::shared_ptr<const std::atomic<bool>> gone;
  /// The process is ending and cannot be interrupted any more (the close of its files is part of
  /// its end): a hard mount must not wait for ever.
  bool ending = false;

  bool left() const { return gone != nullptr && gone->load(); }
};

/// Attributes and how long the kernel may believe them.
struct Attributes {
  fs::Attr attr;
  Duration ttl{0};
};

/// A name that was found. The caller owes the inode table one forget() for it.
struct Entry {
  fs::Attr attr;
  Duration attr_ttl{0};
  Duration entry_ttl{0};
};

/// Answer of a look-up: no entry is a name that is not there, believed for `ttl`.
struct Found {
  std::optional<Entry> entry;
  Duration ttl{0};
};

/// Key into a table of open files or directories; never 0, never used twice.
using HandleId = uint64_t;

struct Opened {
  HandleId handle = 0;
  bool keep_cache = false;  ///< the kernel's pages still stand for the current content
  bool no_flush = false;    ///< close(2) has nothing to wait for
};

struct Created {
  Entry entry;
  Opened opened;
};

/// Which reads move the time of last access on: none; the first after a change or after a day, as
/// relatime has it; all of them.
enum class AccessTimes { off, relative, strict };

struct VfsOptions {
  InodeNo root;
  /// Deadline of each round trip of metadata.
  std::chrono::milliseconds timeout{30000};
  /// Repeat for ever instead of failing with unavailable or timeout; the caller can interrupt.
  bool hard = false;
  bool read_only = false;
  /// Keep times of last access, as relatime of mount(8) does.
  AccessTimes access_times = AccessTimes::relative;
  /// Deleted files go to the drive's trash.
  bool trash = true;
  /// How long the kernel may believe names and attributes while the event stream lives.
  std::chrono::milliseconds entry_ttl{1000};
  /// Term of the primary's leases; then entry_ttl has no meaning. 0: none.
  std::chrono::milliseconds lease_term{0};
  /// With durability=local: what fsync and close wait for. Outlives the file system.
  WritebackJournal* journal = nullptr;
  /// What goes to the journal within this time is sent together.
  std::chrono::milliseconds gather{1000};
  /// What may stay here for a while. Null: everything in a journal, nothing without one. Outlives
  /// the file system.
  WriteLeases* write_leases = nullptr;
  std::string client;  ///< part of the names of conflict copies
};

}  // namespace aster
