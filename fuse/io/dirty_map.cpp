#include "fuse/io/dirty_map.h"

#include <algorithm>
#include <set>

namespace aster {
namespace {

// Checksums in one commit: 11 bytes each as JSON, so a third of the largest batch.
constexpr size_t kChecksumsMax = 1 << 18;

bool continues(const fs::Extent& before, uint64_t offset, const PendingPiece& piece) {
  return before.offset + before.length == offset && before.object == piece.object->access->id &&
         before.object_offset + before.length == piece.object->base + piece.object_offset;
}

}  // namespace

void DirtyMap::write(uint64_t offset, ByteView data) {
  arena_.store(data, [&](DirtyPiece piece) {
    const uint64_t length = piece.length;
    uint64_t begin = offset;
    const auto [before_begin, before] = fresh_.ending_at(offset);
    if (before != nullptr) {
      DirtyPiece joined = *before;
      if (arena_.join(joined, piece)) {
        piece = std::move(joined);
        begin = before_begin;
      }
    }
    const uint64_t whole = piece.length;
    fresh_.insert(begin, whole, std::move(piece));
    offset += length;
  });
}

void DirtyMap::cut(uint64_t size) {
  fresh_.erase(size, UINT64_MAX);
  pending_.erase(size, UINT64_MAX);
  if (fresh_.empty()) arena_.seal();
}

std::vector<FileRange> DirtyMap::fresh_ranges() const {
  std::vector<FileRange> ranges;
  ranges.reserve(fresh_.entries());
  for (const auto& [offset, entry] : fresh_.map()) ranges.push_back({offset, entry.length});
  return ranges;
}

std::vector<UploadObjectPtr> DirtyMap::seal_all(uint64_t part_size) {
  std::vector<UploadObjectPtr> objects;
  for (const ObjectPlan& plan : plan_objects(fresh_ranges(), part_size)) {
    objects.push_back(seal(plan, true));
  }
  return objects;
}

std::vector<UploadObjectPtr> DirtyMap::seal_full_parts(uint64_t begin, uint64_t end,
                                                       uint64_t part_size) {
  std::vector<UploadObjectPtr> objects;
  if (fresh_.bytes() < part_size) return objects;
  for (uint64_t part = begin - begin % part_size; part < end; part += part_size) {
    const std::optional<uint64_t> next = fresh_.next_covered(part);
    if (!next) break;
    if (*next >= part + part_size) {  // jump over a hole of any size
      part = *next - *next % part_size - part_size;
      continue;
    }
    if (fresh_.covers(part, part + part_size)) objects.push_back(seal({{part, part_size}}, false));
  }
  return objects;
}

UploadObjectPtr DirtyMap::seal_largest(uint64_t part_size) {
  std::vector<ObjectPlan> plans = plan_objects(fresh_ranges(), part_size);
  ObjectPlan* largest = nullptr;
  uint64_t most = 0;
  for (ObjectPlan& plan : plans) {
    uint64_t bytes = 0;
    for (const FileRange& range : plan) bytes += range.length;
    if (bytes > most) {
      most = bytes;
      largest = &plan;
    }
  }
  if (largest == nullptr) return nullptr;
  if (largest->size() == 1) {
    // A run that is still growing ends at a whole block, so that it can be composed later.
    FileRange& run = largest->front();
    const uint64_t beyond = run.end() % kBlockSize;
    if (beyond < run.length) run.length -= beyond;
  }
  UploadObjectPtr object = seal(*largest, false);
  arena_.seal();
  return object;
}

UploadObjectPtr DirtyMap::seal(const ObjectPlan& plan, bool keep_until_commit) {
  auto object = std::make_shared<UploadObject>();
  object->keep_until_commit = keep_until_commit;
  for (const FileRange& range : plan) {
    object->ranges.push_back({range.offset, range.length, object->size});
    fresh_.visit(
        range.offset, range.end(),
        [&](uint64_t offset, uint64_t length, const DirtyPiece& piece) {
          object->body.push_back(piece);
          pending_.insert(offset, length, {piece, object, object->size});
          object->size += length;
        },
        [](uint64_t, uint64_t) { ASTER_CHECK(false); });
    fresh_.erase(range.offset, range.end());
  }
  if (fresh_.empty()) arena_.seal();
  return object;
}

void DirtyMap::uploaded(const UploadObjectPtr& object,
                        std::shared_ptr<const fs::ObjectAccess> access) {
  object->access = std::move(access);
  object->uploaded = true;
  if (object->keep_until_commit) return;
  for (const UploadObject::Range& range : object->ranges) {
    pending_.update(range.offset, range.offset + range.length,
                    [&](uint64_t, uint64_t, PendingPiece& piece) {
                      if (piece.object == object) piece.memory = {};
                    });
  }
}

void DirtyMap::failed(const UploadObjectPtr& object) {
  const auto is_its = [&](const PendingPiece& piece) { return piece.object == object; };
  for (const UploadObject::Range& range : object->ranges) {
    pending_.visit(
        range.offset, range.offset + range.length,
        [&](uint64_t offset, uint64_t length, const PendingPiece& piece) {
          if (is_its(piece)) fresh_.insert_below(offset, length, piece.memory);
        },
        [](uint64_t, uint64_t) {});
    pending_.erase_if(range.offset, range.offset + range.length, is_its);
  }
}

void DirtyMap::release_uploaded() {
  pending_.update(0, UINT64_MAX, [](uint64_t, uint64_t, PendingPiece& piece) {
    if (piece.object->uploaded) piece.memory = {};
  });
}

std::vector<UploadObjectPtr> DirtyMap::under_way() const {
  std::vector<UploadObjectPtr> objects;
  std::set<const UploadObject*> seen;
  for (const auto& [offset, entry] : pending_.map()) {
    const UploadObjectPtr& object = entry.value.object;
    if (!object->uploaded && seen.insert(object.get()).second) objects.push_back(object);
  }
  return objects;
}

std::vector<PlannedCommit> DirtyMap::commits(InodeNo ino) const {
  std::vector<PlannedCommit> commits;
  std::set<const UploadObject*> recorded;  // by an earlier one of these commits
  std::set<const UploadObject*> named;     // by the last of them
  size_t checksums = 0;
  for (const auto& [offset, entry] : pending_.map()) {
    const PendingPiece& piece = entry.value;
    const UploadObject* object = piece.object.get();
    if (!object->uploaded) continue;
    const bool grows =
        !commits.empty() && continues(commits.back().commit.extents.back(), offset, piece);
    if (grows) {
      commits.back().commit.extents.back().length += entry.length;
      continue;
    }
    const bool is_new = !object->recorded && !recorded.contains(object);
    const size_t more = is_new ? object->access->crc32c.size() : 0;
    if (commits.empty() || checksums + more > kChecksumsMax ||
        commits.back().commit.extents.size() == fs::kManifestExtentsMax) {
      commits.emplace_back().commit.ino = ino;
      named.clear();
      checksums = 0;
    }
    PlannedCommit& last = commits.back();
    const uint64_t object_offset = object->base + piece.object_offset;
    last.commit.extents.push_back({offset, entry.length, object->access->id, object_offset});
    if (named.insert(object).second) last.objects.push_back(object->access);
    if (is_new) {
      recorded.insert(object);
      checksums += more;
      last.commit.objects.push_back(
          {object->access->id, object->access->size, object->access->crc32c});
    }
  }
  return commits;
}

void DirtyMap::committed(const fs::Commit& commit) {
  for (const fs::Extent& extent : commit.extents) {
    const uint64_t end = extent.offset + extent.length;
    const auto is_in = [&](const PendingPiece& piece) {
      return piece.object->uploaded && piece.object->access->id == extent.object;
    };
    pending_.update(extent.offset, end, [&](uint64_t, uint64_t, PendingPiece& piece) {
      if (is_in(piece)) piece.object->recorded = true;
    });
    pending_.erase_if(extent.offset, end, is_in);
  }
}

}  // namespace aster
