#include "server/primary/content_operations.h"

#include <algorithm>
#include <unordered_map>

#include "server/primary/keeping.h"
#include "server/primary/object_backend.h"

namespace aster::primary {
namespace {

using db::InodeRow;
using db::ObjectRow;
using db::ObjectState;

using ObjectsByName = std::unordered_map<ObjectId, ObjectRow>;

uint64_t blocks_of(uint64_t size) {
  return size / kBlockSize + (size % kBlockSize != 0 ? 1 : 0);
}

Result<InodeRow> find_file(Mutation& m, InodeNo ino) {
  ASTER_TRY(InodeRow row, m.inode(ino));
  if (row.attr.type == fs::FileType::directory) return fail(Errc::is_directory);
  if (row.attr.type != fs::FileType::regular) return fail(Errc::bad_request, "not a regular file");
  return row;
}

Result<void> check_extents(const std::vector<fs::Extent>& extents) {
  if (extents.size() > fs::kManifestExtentsMax) return fail(Errc::too_large, "too many extents");
  uint64_t end = 0;
  for (const fs::Extent& e : extents) {
    if (e.length == 0) return fail(Errc::bad_request, "extent without length");
    if (e.offset < end) return fail(Errc::bad_request, "extents overlap or are not sorted");
    if (e.offset > fs::kFileSizeMax || e.length > fs::kFileSizeMax - e.offset) {
      return fail(Errc::too_large, "extent beyond the largest file");
    }
    end = e.offset + e.length;
  }
  return ok();
}

Error unknown_object(const ObjectId& id) {
  return fail(Errc::precondition_failed,
              "object " + id.hex() + " was not granted here, or its grant ended: upload anew");
}

/// An object that this workspace may name.
Result<ObjectRow> find_object(Mutation& m, const ObjectId& id) {
  std::optional<ObjectRow> row = m.store.objects.find(id);
  if (!row || row->workspace != m.caller.workspace || row->state == ObjectState::dead) {
    return unknown_object(id);
  }
  return std::move(*row);
}

Result<void> check_new_object(const fs::NewObject& object, const PolicyLimits& limits) {
  if (object.size == 0) return fail(Errc::bad_request, "object without bytes");
  if (object.size > limits.max_object) return fail(Errc::too_large, "object over the policy");
  if (object.crc32c.size() != blocks_of(object.size)) {
    return fail(Errc::bad_request, "object with a wrong number of checksums");
  }
  return ok();
}

/// Records size and checksums of a granted object, once. A second commit may name it again as long
/// as it says the same.
Result<ObjectRow> record_object(Mutation& m, const fs::NewObject& object,
                                ObjectBackends& backends) {
  ASTER_TRY(ObjectRow row, find_object(m, object.id));
  if (row.state == ObjectState::live) {
    if (row.size != object.size ||
        m.store.objects.checksums(row.id, 0, blocks_of(row.size)) != object.crc32c) {
      return fail(Errc::bad_request, "object was committed with another content");
    }
    return row;
  }
  ASTER_TRY(const PolicyLimits limits, backends.limits(row.policy));
  ASTER_TRY(check_new_object(object, limits));
  m.store.objects.make_live(row.id, object.size, m.now);
  m.store.objects.put_checksums(row.id, object.crc32c);
  m.usage.pending_objects -= 1;
  row.state = ObjectState::live;
  row.size = object.size;
  return row;
}

/// The live object that an extent names, looked up once each.
Result<const ObjectRow*> object_of(Mutation& m, const fs::Extent& extent, ObjectsByName& known) {
  auto found = known.find(*extent.object);
  if (found == known.end()) {
    ASTER_TRY(ObjectRow row, find_object(m, *extent.object));
    if (row.state != ObjectState::live) return unknown_object(row.name);
    found = known.emplace(*extent.object, std::move(row)).first;
  }
  const ObjectRow& row = found->second;
  if (extent.object_offset > row.size || extent.length > row.size - extent.object_offset) {
    return fail(Errc::bad_request, "extent beyond its object");
  }
  return &row;
}

/// Lays the extents over the file; nothing is written before all of them are known to be good
/// (the savepoint would undo it, but a failure should be cheap).
Result<void> lay_over(Mutation& m, InodeRow& row, const fs::Commit& op, ObjectsByName& known) {
  std::vector<const ObjectRow*> objects;
  for (const fs::Extent& e : op.extents) {
    if (e.object) {
      ASTER_TRY(const ObjectRow* object, object_of(m, e, known));
      objects.push_back(object);
    } else {
      objects.push_back(nullptr);
    }
  }
  ExtentMap map(m.store, row.attr.ino);
  for (size_t i = 0; i < op.extents.size(); ++i) {
    const fs::Extent& e = op.extents[i];
    map.punch(e.offset, e.offset + e.length);
    if (objects[i]) map.fill({e.offset, e.length, objects[i]->id, e.object_offset});
  }
  settle_extents(m, row, map);
  return ok();
}

uint64_t grown_size(const InodeRow& row, const fs::Commit& op) {
  uint64_t size = std::max(row.attr.size, op.min_size.value_or(0));
  if (!op.extents.empty()) {
    size = std::max(size, op.extents.back().offset + op.extents.back().length);
  }
  return size;
}

bool covers_any(Mutation& m, InodeNo ino, uint64_t begin, uint64_t end) {
  return !m.store.extents.overlapping(ino, begin, end, 1).empty();
}

/// True when bytes that were there change; what only grows needs no version.
bool replaces_content(Mutation& m, const InodeRow& row, const fs::Commit& op) {
  if (m.keep.versions == 0) return false;
  for (const fs::Extent& e : op.extents) {
    if (e.offset >= row.attr.size) return false;
    if (covers_any(m, row.attr.ino, e.offset, e.offset + e.length)) return true;
  }
  return false;
}

void queue_composition(Mutation& m, const InodeRow& row, bool sealed, const ComposeDelays& delays) {
  if (row.attr.nlink == 0 || !m.store.extents.has_several(row.attr.ino)) return;
  const auto delay = sealed ? delays.sealed : delays.idle;
  m.store.compose.enqueue(row.attr.ino, m.now + delay.count());
}

/// `target` gets what `source` has in the range; both ranges were checked.
void copy_extents(Mutation& m, const fs::CopyRange& op, uint64_t length, ExtentMap& map) {
  constexpr size_t kPage = 1024;
  const uint64_t end = op.source_offset + length;
  map.punch(op.target_offset, op.target_offset + length);
  for (uint64_t at = op.source_offset; at < end;) {
    const auto rows = m.store.extents.overlapping(op.source, at, end, kPage);
    for (const db::ExtentRow& row : rows) {
      const uint64_t from = std::max(row.offset, at);
      const uint64_t to = std::min(row.end(), end);
      map.fill({op.target_offset + (from - op.source_offset), to - from, row.object,
                row.object_offset + (from - row.offset)});
    }
    if (rows.size() < kPage) return;
    at = rows.back().end();
  }
}

Result<void> check_ranges(const fs::CopyRange& op, uint64_t length) {
  if (op.target_offset > fs::kFileSizeMax || length > fs::kFileSizeMax - op.target_offset) {
    return fail(Errc::too_large, "copy beyond the largest file");
  }
  const bool overlap =
      op.source_offset < op.target_offset + length && op.target_offset < op.source_offset + length;
  if (op.source == op.target && overlap) return fail(Errc::bad_request, "ranges overlap");
  return ok();
}

}  // namespace

Result<void> check_file_size(Mutation& m, const InodeRow& row, uint64_t size,
                             ObjectBackends& backends) {
  if (size > fs::kFileSizeMax) return fail(Errc::too_large, "file size");
  // Without a usable policy there is no limit to check: a hole needs no storage.
  const Result<PolicyId> policy =
      backends.route({m.caller.user, m.caller.workspace, size, chosen_policy(m, row)});
  if (!policy.ok()) return ok();
  ASTER_TRY(const PolicyLimits limits, backends.limits(*policy));
  if (size > limits.max_file) return fail(Errc::too_large, "file over the policy's limit");
  return ok();
}

void settle_extents(Mutation& m, InodeRow& row, ExtentMap& map) {
  map.settle(m.now);
  row.attr.allocated =
      static_cast<uint64_t>(static_cast<int64_t>(row.attr.allocated) + map.allocated_delta());
  m.charge(row.attr.ino, map.allocated_delta());
}

Result<fs::Answer> apply(Mutation& m, const fs::Commit& op, ObjectBackends& backends,
                         const ComposeDelays& delays) {
  ASTER_TRY(check_extents(op.extents));
  ASTER_TRY(InodeRow row, find_file(m, op.ino));
  if (op.base && *op.base != row.attr.data_version) {
    return fail(Errc::stale_version, "somebody else changed the file");
  }
  const uint64_t size = grown_size(row, op);
  if (size > row.attr.size) ASTER_TRY(check_file_size(m, row, size, backends));
  ObjectsByName known;
  for (const fs::NewObject& object : op.objects) {
    ASTER_TRY(ObjectRow recorded, record_object(m, object, backends));
    known.insert_or_assign(object.id, std::move(recorded));
  }
  const bool content = !op.extents.empty() || size != row.attr.size;
  if (content) ASTER_TRY(claim_content(m, row));
  if (replaces_content(m, row, op)) keep_version(m, row);
  ASTER_TRY(lay_over(m, row, op, known));
  if (content || op.mtime) {
    row.attr.size = size;
    if (content) row.attr.data_version += 1;
    row.attr.mtime = op.mtime.value_or(m.now);
    m.save(row, content);
    m.changes.inode = row.guid;
  }
  if (content || op.sealed) queue_composition(m, row, op.sealed, delays);
  return fs::Answer(std::move(row.attr));
}

Result<fs::Answer> apply(Mutation& m, const fs::CopyRange& op, ObjectBackends& backends) {
  ASTER_TRY(const InodeRow source, find_file(m, op.source));
  ASTER_TRY(InodeRow target, find_file(m, op.target));
  if (op.source_offset >= source.attr.size || op.length == 0) {
    return fs::Answer(std::move(target.attr));
  }
  const uint64_t length = std::min(op.length, source.attr.size - op.source_offset);
  ASTER_TRY(check_ranges(op, length));
  const uint64_t size = std::max(target.attr.size, op.target_offset + length);
  if (size > target.attr.size) ASTER_TRY(check_file_size(m, target, size, backends));
  ASTER_TRY(claim_content(m, target));
  if (covers_any(m, op.target, op.target_offset, op.target_offset + length)) {
    keep_version(m, target);
  }
  ExtentMap map(m.store, op.target);
  copy_extents(m, op, length, map);
  settle_extents(m, target, map);
  target.attr.size = size;
  target.attr.data_version += 1;
  target.attr.mtime = m.now;
  m.save(target, true);
  m.changes.inode = target.guid;
  return fs::Answer(std::move(target.attr));
}

}  // namespace aster::primary
