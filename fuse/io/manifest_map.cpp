#include "fuse/io/manifest_map.h"

#include <algorithm>
#include <unordered_map>

namespace aster {
namespace {

using ObjectTable = std::unordered_map<ObjectId, std::shared_ptr<const fs::ObjectAccess>>;

Error contradiction(const char* what) {
  return fail(Errc::io_error, std::string("manifest from the primary: ") + what);
}

// The blocks that [offset, offset + length) of the object touches have checksums.
bool has_checksums(const fs::ObjectAccess& object, uint64_t offset, uint64_t length) {
  const uint64_t first = offset / kBlockSize;
  const uint64_t last = (offset + length - 1) / kBlockSize;
  return first >= object.first_block && last - object.first_block < object.crc32c.size();
}

Result<ObjectPiece> piece_of(const fs::Extent& extent, const ObjectTable& objects) {
  const auto it = objects.find(*extent.object);
  if (it == objects.end()) return contradiction("an extent names no listed object");
  const fs::ObjectAccess& object = *it->second;
  if (extent.object_offset > object.size || extent.length > object.size - extent.object_offset) {
    return contradiction("an extent reaches beyond its object");
  }
  if (!has_checksums(object, extent.object_offset, extent.length)) {
    return contradiction("checksums are missing");
  }
  return ObjectPiece{it->second, extent.object_offset};
}

}  // namespace

FileRange ManifestMap::window_to_load(uint64_t offset) const {
  const uint64_t aligned = offset - offset % kWindow;
  uint64_t begin = aligned;
  while (begin < offset) {  // at most a few: what is known of this window before `offset`
    const uint64_t known = windows_.covered_until(begin);
    if (known > begin) {
      begin = known;
      continue;
    }
    const auto next = windows_.next_covered(begin);
    if (!next || *next >= offset) break;
    begin = *next;
  }
  const auto next = windows_.next_covered(offset);
  const uint64_t end = std::min(aligned + kWindow, next.value_or(UINT64_MAX));
  return {begin, end - begin};
}

FileRange ManifestMap::window_from(uint64_t offset, uint64_t length) const {
  const uint64_t next = windows_.next_covered(offset).value_or(UINT64_MAX);
  return {offset, std::min(length, next - offset)};
}

Result<void> ManifestMap::install(FileRange asked, const fs::Manifest& manifest, SteadyTime now) {
  const uint64_t end = std::min(manifest.window_end, asked.end());
  if (end <= asked.offset) return contradiction("an empty window");
  ObjectTable objects;
  for (const fs::ObjectAccess& object : manifest.objects) {
    if (object.url.empty()) return contradiction("an object without a URL");
    objects[object.id] = std::make_shared<const fs::ObjectAccess>(object);
  }
  std::vector<std::pair<FileRange, ObjectPiece>> pieces;
  uint64_t at = asked.offset;
  for (const fs::Extent& extent : manifest.extents) {
    if (extent.length == 0 || extent.offset < at) return contradiction("extents are not sorted");
    if (extent.offset >= end || extent.length > end - extent.offset) {
      return contradiction("an extent reaches beyond the window");
    }
    at = extent.offset + extent.length;
    if (!extent.object) continue;
    ASTER_TRY(ObjectPiece piece, piece_of(extent, objects));
    pieces.push_back({{extent.offset, extent.length}, std::move(piece)});
  }
  if (windows_.entries() >= kWindowsMax) clear();
  windows_.insert(asked.offset, end - asked.offset, {now});
  extents_.erase(asked.offset, end);
  for (auto& [range, piece] : pieces) extents_.insert(range.offset, range.length, std::move(piece));
  return ok();
}

void ManifestMap::install_empty() {
  clear();
  windows_.insert(0, UINT64_MAX, {SteadyTime()});
}

void ManifestMap::clear() {
  windows_.clear();
  extents_.clear();
}

bool ManifestMap::forget(uint64_t offset, SteadyTime before) {
  if (known_until(offset) == offset) return true;
  if (loaded_at(offset) > before) return false;
  const uint64_t aligned = offset - offset % kWindow;
  windows_.erase(aligned, aligned + kWindow);
  extents_.erase(aligned, aligned + kWindow);
  return true;
}

SteadyTime ManifestMap::loaded_at(uint64_t offset) const {
  SteadyTime loaded{};
  windows_.visit(
      offset, offset + 1, [&](uint64_t, uint64_t, const Window& window) { loaded = window.loaded; },
      [](uint64_t, uint64_t) {});
  return loaded;
}

void ManifestMap::apply(const fs::Commit& commit,
                        const std::vector<std::shared_ptr<const fs::ObjectAccess>>& objects) {
  ObjectTable table;
  for (const auto& object : objects) table[object->id] = object;
  for (const fs::Extent& extent : commit.extents) {
    const uint64_t end = extent.offset + extent.length;
    extents_.erase(extent.offset, end);
    if (!extent.object) continue;
    const auto it = table.find(*extent.object);
    ASTER_CHECK(it != table.end());
    windows_.visit(
        extent.offset, end,
        [&](uint64_t offset, uint64_t length, const Window&) {
          extents_.insert(offset, length,
                          {it->second, extent.object_offset + (offset - extent.offset)});
        },
        [](uint64_t, uint64_t) {});
  }
}

}  // namespace aster
