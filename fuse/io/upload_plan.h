#pragma once

#include <cstdint>
#include <vector>

namespace aster {

/// A range of a file, bytes.
struct FileRange {
  uint64_t offset = 0;
  uint64_t length = 0;
  uint64_t end() const noexcept { return offset + length; }
  friend bool operator==(const FileRange&, const FileRange&) = default;
};

/// The file ranges that one object will hold, back to back.
using ObjectPlan = std::vector<FileRange>;

/// How dirty ranges (sorted, not overlapping; neighbours may touch) become objects. Long runs are
/// cut at multiples of `part_size` and each piece is an object of its own, so that the primary can
/// compose them; short ones share an object. No object exceeds `part_size` (a multiple of
/// kBlockSize).
std::vector<ObjectPlan> plan_objects(const std::vector<FileRange>& dirty, uint64_t part_size);

}  // namespace aster
