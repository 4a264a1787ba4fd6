#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "protocol/fs/messages.h"

/// Leases between a mounted client and the primary; see aster-api(7), "Leases".
///
/// A session that took up a lease holds read leases on whatever the primary told it: the attributes
/// (and extended attributes, and the version of the content) of inodes, and the names below
/// directories, those that are not there included. Whoever changes any of these gets an answer only
/// after every other holder has acknowledged the invalidation, or its time is over.
namespace aster::fs {

/// Events that may be acknowledged out of turn in one Ack.
inline constexpr size_t kAckDoneMax = 1024;

/// Server-sent event "lease": everything that was sent before it belongs to earlier times. What the
/// client is told from now on is leased under this number, once an Ack has started its time. A
/// number other than the one before says that all leases under that were lost.
struct LeaseNotice {
  uint64_t lease = 0;  ///< never 0
};

/// POST /api/v1/fs/ack: what this client no longer believes, and the renewal of its lease.
struct Ack {
  SessionId session;
  uint64_t lease = 0;             ///< the last one noticed
  std::string cursor;             ///< all events up to this one were carried out; empty = none
  std::vector<std::string> done;  ///< cursors of later events that were carried out, too
};

struct AckAnswer {
  uint64_t lease = 0;  ///< another one than in the question: the lease asked about is lost
  /// The lease holds for this long after the question was sent; 0 = not renewed.
  uint32_t lease_ms = 0;
};

/// Inodes given back in one LeaseRequest.
inline constexpr size_t kGiveMax = 4096;
/// Names below a directory that can be leased for writing as a whole.
inline constexpr size_t kTakeNamesMax = 1024;

/// POST /api/v1/fs/lease: write leases. Who holds one on an inode may keep changes of it (for a
/// directory: of its names, too) to itself for a while: whoever else asks for it, or changes it,
/// waits until the holder has given it back, or until the holder's lease has run out.
///
/// `take` asks for an inode and, of a directory, for all that have a name in it. What a holder then
/// makes in a directory that it holds is its own from the beginning, and so on below.
struct LeaseRequest {
  SessionId session;
  uint64_t lease = 0;  ///< with `take`: the number of the read lease that is held
  std::optional<InodeNo> take;
  std::vector<InodeNo> give;  ///< everything of them was sent
  bool give_all = false;
};
/// Not granted: others hold it, or wanted it a moment ago, or there is too much in the directory.
struct LeaseAnswer {
  bool granted = false;
  std::optional<Attr> attr;       ///< of what was asked for
  std::vector<DirEntry> entries;  ///< all of the directory
};

/// Server-sent event "want": somebody waits for these. They are to be sent and given back.
struct LeaseWanted {
  std::vector<InodeNo> inodes;
  bool all = false;
};

}  // namespace aster::fs
