#pragma once

#include <map>
#include <optional>
#include <span>
#include <vector>

#include "server/db/extent_store.h"
#include "server/db/object_store.h"

namespace aster::primary {

/// How a stretch of a file without holes becomes one object, the target: runs of whole blocks that
/// stay as they lie in the old objects (their checksums are known), and between them *fresh* runs,
/// blocks that several extents share or that are not aligned, which are read and put together anew.
struct RewritePlan {
  struct Run {
    uint64_t at = 0;      ///< in the target; a multiple of kBlockSize
    uint64_t length = 0;  ///< of kBlockSize too, but for the target's end
    uint64_t object = 0;  ///< 0: fresh
    uint64_t object_offset = 0;
  };
  std::vector<db::ExtentRow> extents;  ///< in order, each begins where the one before ends
  std::vector<Run> runs;               ///< likewise; all of the target

  uint64_t begin() const { return extents.front().offset; }  ///< in the file
  uint64_t size() const { return extents.back().end() - begin(); }
  uint64_t fresh() const;  ///< bytes
};

using ObjectRows = std::map<uint64_t, db::ObjectRow>;

/// The first stretch of these extents that is worth it, if any:
///   - a stretch of at least 1 MiB of which no object holds even half, so that a file written in
///     parts becomes whole although some of it was written again. Its bytes are copied once for
///     each time that half of them has changed;
///   - at least 64 extents of less than 4 MiB in a row, which come to less than 1 MiB each: a copy
///     of at most 1 MiB for each change, and never more than two requests per MiB for a reader.
/// One stretch has one policy, at most `max_object` bytes, and costs no more than 64 MiB of reads.
/// `objects` has every object that `extents` name; `extents` are of one file, in order.
std::optional<RewritePlan> plan_rewrite(std::span<const db::ExtentRow> extents,
                                        const ObjectRows& objects, uint64_t max_object);

}  // namespace aster::primary
