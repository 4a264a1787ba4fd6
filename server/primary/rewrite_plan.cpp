#include "server/primary/rewrite_plan.h"

#include <algorithm>
#include <unordered_map>

#include "protocol/base/bytes.h"

namespace aster::primary {
namespace {

using db::ExtentRow;
using Extents = std::span<const ExtentRow>;

/// Smaller extents than this are read with requests of less than full size.
constexpr uint64_t kSmall = 4 << 20;
constexpr size_t kManySmall = 64;
/// A stretch of this size takes two requests or more when it lies in pieces.
constexpr uint64_t kStretchMin = 1 << 20;
constexpr uint64_t kMeanSmall = 1 << 20;
/// What one stretch may make us read; the fresh bytes of it stay in memory.
constexpr uint64_t kReadBudget = 64 << 20;
/// Two runs for each at most: the list must fit the follower's 1 MiB of JSON.
constexpr size_t kExtentsMax = 2000;

uint64_t rounded_up(uint64_t bytes) {
  return (bytes + kBlockSize - 1) / kBlockSize * kBlockSize;
}
uint64_t rounded_down(uint64_t bytes) {
  return bytes / kBlockSize * kBlockSize;
}

/// Blocks of the object are blocks of a target that begins at `begin` of the file.
bool aligned(const ExtentRow& e, uint64_t begin) {
  return (e.offset - begin) % kBlockSize == e.object_offset % kBlockSize;
}

/// At most this much of the extent's object is read: whole blocks around its ends, or around all of
/// it when it is not aligned.
uint64_t reads_for(const ExtentRow& e, uint64_t begin, uint64_t object_size) {
  const uint64_t ends = 2 * kBlockSize;
  return std::min(aligned(e, begin) ? ends : e.length + ends, object_size);
}

/// How many extents from the first one fit into one rewriting.
size_t fitting(Extents extents, const ObjectRows& objects, uint64_t max_object) {
  const uint64_t begin = extents.front().offset;
  uint64_t reads = 0;
  size_t count = 0;
  for (const ExtentRow& e : extents) {
    reads += reads_for(e, begin, objects.at(e.object).size);
    const bool room = count < kExtentsMax && reads <= kReadBudget && e.end() - begin <= max_object;
    if (!room) break;
    ++count;
  }
  return count;
}

/// The extents from the first one that follow each other and have its policy.
Extents first_stretch(Extents extents, const ObjectRows& objects) {
  const PolicyId policy = objects.at(extents.front().object).policy;
  size_t count = 1;
  while (count < extents.size() && extents[count].offset == extents[count - 1].end() &&
         objects.at(extents[count].object).policy == policy) {
    ++count;
  }
  return extents.first(count);
}

bool in_pieces(Extents stretch) {
  const uint64_t size = stretch.back().end() - stretch.front().offset;
  if (size < kStretchMin) return false;
  std::unordered_map<uint64_t, uint64_t> bytes;
  uint64_t most = 0;
  for (const ExtentRow& e : stretch) most = std::max(most, bytes[e.object] += e.length);
  return most < size / 2;
}

/// The first row of many small extents, cut to what fits.
Extents small_ones(Extents stretch, const ObjectRows& objects, uint64_t max_object) {
  for (size_t first = 0; first < stretch.size();) {
    size_t end = first;
    while (end < stretch.size() && stretch[end].length < kSmall) ++end;
    if (end - first >= kManySmall) {
      const Extents row = stretch.subspan(first, end - first);
      const Extents cut = row.first(fitting(row, objects, max_object));
      const bool many = cut.size() >= kManySmall;
      if (many && (cut.back().end() - cut.front().offset) / cut.size() < kMeanSmall) return cut;
    }
    first = end + 1;
  }
  return {};
}

std::vector<RewritePlan::Run> runs_of(Extents extents, const ObjectRows& objects) {
  const uint64_t begin = extents.front().offset;
  const uint64_t size = extents.back().end() - begin;
  std::vector<RewritePlan::Run> runs;
  uint64_t done = 0;  // of the target
  const auto fresh_until = [&](uint64_t at) {
    if (at > done) runs.push_back({done, at - done, 0, 0});
    done = std::max(done, at);
  };
  for (const ExtentRow& e : extents) {
    if (!aligned(e, begin)) continue;
    // The last block may be short only where the object's last block is as short.
    const bool both_end =
        e.end() - begin == size && e.object_offset + e.length == objects.at(e.object).size;
    const uint64_t from = rounded_up(e.offset - begin);
    const uint64_t to = both_end ? size : rounded_down(e.end() - begin);
    if (to <= from) continue;
    fresh_until(from);
    runs.push_back({from, to - from, e.object, e.object_offset + from - (e.offset - begin)});
    done = to;
  }
  fresh_until(size);
  return runs;
}

}  // namespace

uint64_t RewritePlan::fresh() const {
  uint64_t bytes = 0;
  for (const Run& run : runs) bytes += run.object == 0 ? run.length : 0;
  return bytes;
}

std::optional<RewritePlan> plan_rewrite(Extents extents, const ObjectRows& objects,
                                        uint64_t max_object) {
  while (!extents.empty()) {
    const Extents stretch = first_stretch(extents, objects);
    Extents chosen = small_ones(stretch, objects, max_object);
    if (in_pieces(stretch) && fitting(stretch, objects, max_object) == stretch.size()) {
      chosen = stretch;
    }
    if (!chosen.empty()) {
      return RewritePlan{{chosen.begin(), chosen.end()}, runs_of(chosen, objects)};
    }
    extents = extents.subspan(stretch.size());
  }
  return std::nullopt;
}

}  // namespace aster::primary
