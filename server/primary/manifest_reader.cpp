#include <algorithm>
#include <unordered_map>

#include "server/primary/mutation.h"
#include "server/primary/object_backend.h"
#include "server/primary/read_operations.h"

namespace aster::primary {
namespace {

/// Checksums in one answer: 8 GiB of file, 350 KiB of base64.
constexpr uint64_t kChecksumsMax = 65536;

/// The blocks [first, end) of an object that the manifest's extents touch.
struct Touched {
  size_t index = 0;  // in Manifest::objects
  uint64_t first = UINT64_MAX;
  uint64_t end = 0;
  uint64_t count() const { return end > first ? end - first : 0; }
};

/// Collects extents in order until the window or a limit ends it.
class ManifestBuilder {
 public:
  ManifestBuilder(ReadContext& context, fs::Manifest& manifest)
      : context_(context), manifest_(manifest) {}

  /// Takes what of `row` lies in [begin, end). False when no more fits: the answer then ends where
  /// taken_until() says.
  Result<bool> take(const db::ExtentRow& row, uint64_t begin, uint64_t end);
  uint64_t taken_until() const { return taken_until_; }
  /// Fills in checksums and URLs.
  Result<void> finish();

 private:
  Result<Touched*> object(uint64_t id);

  ReadContext& context_;
  fs::Manifest& manifest_;
  std::unordered_map<uint64_t, Touched> touched_;  // by object number
  std::vector<db::ObjectRow> rows_;                // like Manifest::objects
  uint64_t checksums_ = 0;
  uint64_t taken_until_ = 0;
};

Result<Touched*> ManifestBuilder::object(uint64_t id) {
  const auto [at, added] = touched_.try_emplace(id);
  if (added) {
    std::optional<db::ObjectRow> row = context_.store.objects.find(id);
    if (!row) return fail(Errc::internal, "extent without object " + std::to_string(id));
    at->second.index = rows_.size();
    manifest_.objects.push_back({row->name, row->size, 0, {}, {}, 0});
    rows_.push_back(std::move(*row));
  }
  return &at->second;
}

Result<bool> ManifestBuilder::take(const db::ExtentRow& row, uint64_t begin, uint64_t end) {
  const uint64_t from = std::max(row.offset, begin);
  uint64_t to = std::min(row.end(), end);
  if (from >= to) return true;
  taken_until_ = from;
  if (manifest_.extents.size() >= fs::kManifestExtentsMax) return false;
  ASTER_TRY(Touched * touched, object(row.object));

  const uint64_t object_from = row.object_offset + (from - row.offset);
  const uint64_t first = std::min(touched->first, object_from / kBlockSize);
  // A first extent that alone is too much is cut, so that every answer makes progress.
  if (manifest_.extents.empty()) to = std::min(to, from + (kChecksumsMax - 1) * kBlockSize);
  const uint64_t object_to = object_from + (to - from);
  const uint64_t last = std::max(touched->end, (object_to + kBlockSize - 1) / kBlockSize);
  const uint64_t added = (last - first) - touched->count();
  if (!manifest_.extents.empty() && checksums_ + added > kChecksumsMax) return false;

  checksums_ += added;
  touched->first = first;
  touched->end = last;
  manifest_.extents.push_back({from, to - from, manifest_.objects[touched->index].id, object_from});
  taken_until_ = to;
  return to == std::min(row.end(), end);
}

Result<void> ManifestBuilder::finish() {
  // An object that was looked up for an extent that did not fit has no blocks.
  std::vector<fs::ObjectAccess> used;
  std::vector<const Touched*> order(rows_.size(), nullptr);
  for (const auto& [id, touched] : touched_) order[touched.index] = &touched;
  for (size_t i = 0; i < rows_.size(); ++i) {
    if (order[i]->count() == 0) continue;
    fs::ObjectAccess access = std::move(manifest_.objects[i]);
    access.first_block = order[i]->first;
    access.crc32c =
        context_.store.objects.checksums(rows_[i].id, order[i]->first, order[i]->count());
    ASTER_TRY(ObjectUrl url, context_.backends.read_url(rows_[i].policy, rows_[i].name));
    access.url = std::move(url.url);
    access.expires = url.expires;
    used.push_back(std::move(access));
  }
  manifest_.objects = std::move(used);
  return ok();
}

}  // namespace

Result<fs::Answer> answer(ReadContext& c, const fs::GetManifest& op) {
  ASTER_TRY(db::InodeRow row, find_inode(c.store, c.caller, op.ino));
  if (row.attr.type == fs::FileType::directory) return fail(Errc::is_directory);
  if (row.attr.type != fs::FileType::regular) return fail(Errc::bad_request, "not a regular file");
  fs::Manifest manifest;
  manifest.attr = std::move(row.attr);
  const uint64_t end = op.length > UINT64_MAX - op.offset ? UINT64_MAX : op.offset + op.length;

  ManifestBuilder builder(c, manifest);
  const auto rows =
      c.store.extents.overlapping(op.ino, op.offset, end, fs::kManifestExtentsMax + 1);
  bool complete = true;
  for (const db::ExtentRow& extent : rows) {
    ASTER_TRY(complete, builder.take(extent, op.offset, end));
    if (!complete) break;
  }
  manifest.window_end = complete ? end : builder.taken_until();
  ASTER_TRY(builder.finish());
  return fs::Answer(std::move(manifest));
}

}  // namespace aster::primary
