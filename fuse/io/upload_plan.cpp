#include "fuse/io/upload_plan.h"

#include <algorithm>
#include <utility>

#include "protocol/base/bytes.h"
#include "protocol/base/check.h"

namespace aster {
namespace {

// A run of this many bytes is worth an object of its own: one PUT costs about as much as moving
// this over a fast link. Shorter ones share an object.
constexpr uint64_t kOwnObject = 1 << 20;

std::vector<FileRange> join_neighbours(const std::vector<FileRange>& dirty) {
  std::vector<FileRange> runs;
  for (const FileRange& range : dirty) {
    if (!runs.empty() && runs.back().end() == range.offset) {
      runs.back().length += range.length;
    } else {
      runs.push_back(range);
    }
  }
  return runs;
}

void cut_into_parts(FileRange run, uint64_t part_size, std::vector<ObjectPlan>& plans) {
  while (run.length > 0) {
    const uint64_t n = std::min(run.length, part_size - run.offset % part_size);
    plans.push_back({{run.offset, n}});
    run.offset += n;
    run.length -= n;
  }
}

}  // namespace

std::vector<ObjectPlan> plan_objects(const std::vector<FileRange>& dirty, uint64_t part_size) {
  ASTER_CHECK(part_size >= kBlockSize);
  const std::vector<FileRange> runs = join_neighbours(dirty);
  std::vector<ObjectPlan> plans;
  ObjectPlan shared;
  uint64_t shared_bytes = 0;
  for (const FileRange& run : runs) {
    // What goes on after a whole part is the tail of a file written in one go.
    const bool continues_parts = run.offset != 0 && run.offset % part_size == 0;
    if (runs.size() == 1 || run.length >= std::min(kOwnObject, part_size) || continues_parts) {
      cut_into_parts(run, part_size, plans);
      continue;
    }
    if (shared_bytes + run.length > part_size) {
      plans.push_back(std::exchange(shared, {}));
      shared_bytes = 0;
    }
    shared.push_back(run);
    shared_bytes += run.length;
  }
  if (!shared.empty()) plans.push_back(std::move(shared));
  return plans;
}

}  // namespace aster
