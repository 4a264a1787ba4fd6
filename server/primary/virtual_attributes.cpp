#include "server/primary/virtual_attributes.h"

#include <algorithm>
#include <functional>
#include <map>

#include "protocol/checksum.h"
#include "server/db/tree_quota_store.h"
#include "server/primary/keeping.h"
#include "server/primary/object_backend.h"

namespace aster::primary {
namespace {

constexpr std::string_view kPrefix = "user.aster.";

/// Extents that one answer looks at; a file with more says so in its last line.
constexpr size_t kExtentsMax = 1024;
static_assert(kExtentsMax * 60 < fs::kXattrValueMax, "a line of `object` is below 60 bytes long");

using Place = ObjectBackends::Place;

struct Extents {
  std::vector<db::ExtentRow> rows;
  bool cut = false;
};

Result<Extents> extents_of(ReadContext& c, const db::InodeRow& row) {
  if (row.attr.type != fs::FileType::regular) return fail(Errc::no_attribute);
  Extents extents;
  extents.rows = c.store.extents.overlapping(row.attr.ino, 0, UINT64_MAX, kExtentsMax + 1);
  extents.cut = extents.rows.size() > kExtentsMax;
  if (extents.cut) extents.rows.resize(kExtentsMax);
  return extents;
}

Result<db::ObjectRow> object_of(ReadContext& c, const db::ExtentRow& extent) {
  std::optional<db::ObjectRow> object = c.store.objects.find(extent.object);
  if (!object) {
    return fail(Errc::internal, "extent without object " + std::to_string(extent.object));
  }
  return std::move(*object);
}

/// What `tell` says about the place of each extent, each text once, in order of the file.
Result<std::string> places_of(ReadContext& c, const db::InodeRow& row,
                              const std::function<std::string(const Place&)>& tell) {
  std::map<PolicyId, Place> places;
  for (Place& place : c.backends.places()) places.emplace(place.id, std::move(place));
  ASTER_TRY(const Extents extents, extents_of(c, row));
  std::vector<std::string> told;
  for (const db::ExtentRow& extent : extents.rows) {
    ASTER_TRY(const db::ObjectRow object, object_of(c, extent));
    const auto place = places.find(object.policy);
    if (place == places.end()) continue;  // removed within this moment
    std::string text = tell(place->second);
    if (std::find(told.begin(), told.end(), text) == told.end()) told.push_back(std::move(text));
  }
  if (told.empty()) return fail(Errc::no_attribute);
  std::string out;
  for (const std::string& text : told) out += (out.empty() ? "" : "\n") + text;
  return out;
}

/// What a directory chose for new files below it, itself or from above.
Result<std::string> chosen_policy(ReadContext& c, const db::InodeRow& row) {
  db::DirectorySettings settings(c.store.txn);
  const auto id = settings.effective(row.attr.ino, kPolicySetting);
  for (const Place& place : c.backends.places()) {
    if (id && std::to_string(place.id.value) == *id) return place.policy;
  }
  return fail(Errc::no_attribute);
}

Result<std::string> policy(ReadContext& c, const db::InodeRow& row) {
  if (row.attr.type == fs::FileType::directory) return chosen_policy(c, row);
  return places_of(c, row, [](const Place& place) { return place.policy; });
}

Result<std::string> node(ReadContext& c, const db::InodeRow& row) {
  return places_of(c, row, [](const Place& place) {
    return place.node.empty() ? std::string("(primary)") : place.node;
  });
}

/// One line per extent: offset, length, object, offset in the object.
Result<std::string> objects(ReadContext& c, const db::InodeRow& row) {
  ASTER_TRY(const Extents extents, extents_of(c, row));
  if (extents.rows.empty()) return fail(Errc::no_attribute);
  std::string out;
  for (const db::ExtentRow& extent : extents.rows) {
    ASTER_TRY(const db::ObjectRow object, object_of(c, extent));
    if (!out.empty()) out += '\n';
    out += std::to_string(extent.offset) + ' ' + std::to_string(extent.length) + ' ' +
           object.name.hex() + ' ' + std::to_string(extent.object_offset);
  }
  if (extents.cut) out += "\n...";
  return out;
}

/// Checksum of `extent`'s bytes from those of the object's blocks; no_attribute when the extent
/// begins or ends inside a block, whose checksum says nothing about a part of it.
Result<uint32_t> extent_crc32c(ReadContext& c, const db::ExtentRow& extent) {
  ASTER_TRY(const db::ObjectRow object, object_of(c, extent));
  const uint64_t end = extent.object_offset + extent.length;
  if (extent.object_offset % kBlockSize != 0) return fail(Errc::no_attribute);
  if (end % kBlockSize != 0 && end != object.size) return fail(Errc::no_attribute);
  const uint64_t first = extent.object_offset / kBlockSize;
  const uint64_t count = (extent.length + kBlockSize - 1) / kBlockSize;
  const std::vector<uint32_t> blocks = c.store.objects.checksums(object.id, first, count);
  if (blocks.size() != count) return fail(Errc::internal, "object without its checksums");
  return crc32c_of_blocks(blocks, extent.length);
}

/// Of the whole file, where it follows from the checksums of blocks: no holes, whole blocks.
Result<std::string> checksum(ReadContext& c, const db::InodeRow& row) {
  ASTER_TRY(const Extents extents, extents_of(c, row));
  if (extents.cut) return fail(Errc::no_attribute);
  uint32_t crc = 0;
  uint64_t at = 0;
  for (const db::ExtentRow& extent : extents.rows) {
    if (extent.offset != at) return fail(Errc::no_attribute);
    ASTER_TRY(const uint32_t next, extent_crc32c(c, extent));
    crc = crc32c_combine(crc, next, extent.length);
    at = extent.end();
  }
  if (at != row.attr.size) return fail(Errc::no_attribute);
  return crc32c_hex(crc);
}

/// What holds for the names in a directory, from itself or above.
Result<std::string> trash_setting(ReadContext& c, const db::InodeRow& row) {
  if (row.attr.type != fs::FileType::directory) return fail(Errc::no_attribute);
  db::DirectorySettings settings(c.store.txn);
  return settings.effective(row.attr.ino, kTrashSetting).value_or("on");
}

std::string table_line(std::vector<std::string> cells) {
  std::string line;
  for (std::string& cell : cells) {
    std::replace_if(
        cell.begin(), cell.end(), [](unsigned char ch) { return ch < ' ' || ch == 0x7f; }, ' ');
    if (!line.empty()) line += '\t';
    line += cell.empty() ? "-" : cell;
  }
  return line + '\n';
}

const char* state_of(const db::TreeQuota& tree) {
  return tree.state == db::TreeState::active ? "counted" : "counting";
}

/// The quotas that hold for an inode, the innermost first.
Result<std::string> quota_table(ReadContext& c, const db::InodeRow& row) {
  db::TreeQuotaStore trees(c.store.txn);
  std::string out;
  for (const db::TreeQuota& tree : trees.chain(trees.tree_of(row.attr.ino))) {
    if (out.empty()) out = table_line({"quota", "used", "state", "folder"});
    out += table_line({std::to_string(tree.quota), std::to_string(std::max<int64_t>(0, tree.used)),
                       state_of(tree), trees.path_of(tree.root)});
  }
  if (out.empty()) return fail(Errc::no_attribute);
  return out;
}

std::string policy_table(ReadContext& c) {
  std::string out = table_line({"policy", "default", "driver", "node", "free", "total", "trouble"});
  for (const Place& place : c.backends.places()) {
    const auto& known = place.capacity;
    out += table_line({place.policy, place.is_default ? "yes" : "no", place.driver, place.node,
                       known ? std::to_string(known->free) : "",
                       known ? std::to_string(known->total) : "", place.trouble});
  }
  return out;
}

/// Only nodes that a policy of the drive uses: the others hold nothing of it.
std::string node_table(ReadContext& c) {
  std::map<std::string, std::string> nodes;
  for (const Place& place : c.backends.places()) {
    if (!place.node.empty()) nodes[place.node] = place.trouble;
  }
  std::string out = table_line({"node", "state"});
  for (const auto& [name, trouble] : nodes) {
    out += table_line({name, trouble.empty() ? "ready" : trouble});
  }
  return out;
}

}  // namespace

bool is_virtual_attribute(std::string_view name) {
  return name.starts_with(kPrefix);
}

Result<std::string> virtual_attribute(ReadContext& c, const db::InodeRow& row,
                                      std::string_view name) {
  const std::string_view what = name.substr(kPrefix.size());
  if (what == "policy") return policy(c, row);
  if (what == "node") return node(c, row);
  if (what == "object") return objects(c, row);
  if (what == "crc32c") return checksum(c, row);
  if (name == kTrashSetting) return trash_setting(c, row);
  if (what == "quota") return quota_table(c, row);
  if (what == "policies") return policy_table(c);
  if (what == "nodes") return node_table(c);
  return fail(Errc::no_attribute);
}

}  // namespace aster::primary
