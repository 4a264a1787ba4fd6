#include "server/primary/extent_map.h"

#include <algorithm>

namespace aster::primary {
namespace {
constexpr size_t kPage = 1024;  // extents in memory at a time
}

void ExtentMap::punch(uint64_t begin, uint64_t end) {
  if (begin >= end) return;
  for (;;) {
    const auto rows = store_.extents.overlapping(ino_, begin, end, kPage);
    for (const db::ExtentRow& row : rows) punch_one(row, begin, end);
    if (rows.size() < kPage) return;
    begin = rows.back().end();
  }
}

void ExtentMap::punch_one(const db::ExtentRow& row, uint64_t begin, uint64_t end) {
  if (row.offset < begin) {
    store_.extents.resize(ino_, row.offset, begin - row.offset);
  } else {
    store_.extents.erase(ino_, row.offset);
    refs_[row.object] -= 1;
  }
  if (row.end() > end) {
    store_.extents.insert(
        ino_, {end, row.end() - end, row.object, row.object_offset + (end - row.offset)});
    refs_[row.object] += 1;
  }
  const uint64_t cut = std::min(row.end(), end) - std::max(row.offset, begin);
  allocated_ -= static_cast<int64_t>(cut);
}

void ExtentMap::fill(const db::ExtentRow& row) {
  allocated_ += static_cast<int64_t>(row.length);
  const std::optional<db::ExtentRow> before = store_.extents.before(ino_, row.offset);
  if (before && before->end() == row.offset && before->object == row.object &&
      before->object_offset + before->length == row.object_offset) {
    store_.extents.resize(ino_, before->offset, before->length + row.length);
    return;
  }
  store_.extents.insert(ino_, row);
  refs_[row.object] += 1;
}

void ExtentMap::settle(int64_t now) {
  for (const auto& [object, delta] : refs_) {
    if (delta != 0) store_.objects.add_refs(object, delta, now);
  }
  refs_.clear();
}

}  // namespace aster::primary
