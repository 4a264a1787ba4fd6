#include "server/content/content_reader.h"

#include <algorithm>
#include <cstring>

#include "server/content/namespace_call.h"
#include "server/content/object_blocks.h"

namespace aster::content {
namespace {

uint64_t block_end(uint64_t byte_end) {
  return (byte_end + kBlockSize - 1) / kBlockSize;
}

/// One version of a file from `at` to `end`, manifest window after window.
class FileSource final : public ByteSource {
 public:
  FileSource(primary::NamespaceService& namespaces, ObjectPlaces& places, Executor& disk,
             primary::Caller caller, const fs::Attr& file, uint64_t offset, uint64_t length)
      : namespaces_(namespaces),
        caller_(caller),
        file_(file.ino),
        version_(file.data_version),
        at_(offset),
        end_(offset + length),
        blocks_(places, disk) {}

  /// Makes sure that there are bytes to give.
  Task<Result<void>> fill();
  Task<Result<size_t>> read(std::span<std::byte> buffer) override;

 private:
  Task<Result<void>> load_manifest();
  Task<Result<void>> fill_once();
  const fs::Extent* extent_at(uint64_t offset);
  const fs::ObjectAccess* object_of(const fs::Extent& extent) const;
  void give_zeros(uint64_t until);

  primary::NamespaceService& namespaces_;
  const primary::Caller caller_;
  const InodeNo file_;
  const uint64_t version_;
  uint64_t at_;  ///< offset of the first byte of ready_, or of what comes next
  const uint64_t end_;
  ObjectBlocks blocks_;
  fs::Manifest manifest_;
  size_t extent_ = 0;  ///< extents before this one end at or before at_
  bool stale_ = true;  ///< the manifest has to be fetched
  std::vector<std::byte> zeros_;
  ByteView ready_;
};

Task<Result<void>> FileSource::load_manifest() {
  fs::GetManifest get{file_, at_, end_ - at_};
  ASTER_CO_TRY(manifest_, co_await call<fs::Manifest>(namespaces_, caller_, std::move(get)));
  if (manifest_.attr.data_version != version_) {
    co_return fail(Errc::stale_version, "the file was changed while it was read");
  }
  if (manifest_.window_end <= at_) co_return fail(Errc::internal, "a manifest of nothing");
  extent_ = 0;
  stale_ = false;
  co_return ok();
}

const fs::Extent* FileSource::extent_at(uint64_t offset) {
  const auto& extents = manifest_.extents;
  while (extent_ < extents.size() && extents[extent_].offset + extents[extent_].length <= offset) {
    ++extent_;
  }
  return extent_ < extents.size() ? &extents[extent_] : nullptr;
}

const fs::ObjectAccess* FileSource::object_of(const fs::Extent& extent) const {
  for (const fs::ObjectAccess& object : manifest_.objects) {
    if (object.id == extent.object) return &object;
  }
  return nullptr;
}

void FileSource::give_zeros(uint64_t until) {
  zeros_.resize(kBlockSize);
  ready_ = ByteView(zeros_).first(std::min<uint64_t>(kBlockSize, until - at_));
}

Task<Result<void>> FileSource::fill_once() {
  if (stale_ || at_ >= manifest_.window_end) ASTER_CO_TRY(co_await load_manifest());
  const uint64_t known = std::min(end_, manifest_.window_end);
  const fs::Extent* const extent = extent_at(at_);
  if (extent == nullptr || extent->offset > at_) {
    give_zeros(extent == nullptr ? known : std::min(known, extent->offset));
    co_return ok();
  }
  const fs::ObjectAccess* const object = object_of(*extent);
  if (object == nullptr) co_return fail(Errc::internal, "an extent without its object");
  const uint64_t until = std::min(known, extent->offset + extent->length);
  const uint64_t from_object = extent->object_offset + (at_ - extent->offset);
  const uint64_t index = from_object / kBlockSize;
  const uint64_t last_block = block_end(from_object + (until - at_));
  ASTER_CO_TRY(const ByteView block, co_await blocks_.block(*object, index, last_block));
  const ByteView rest = block.subspan(from_object - index * kBlockSize);
  ready_ = rest.first(std::min<uint64_t>(rest.size(), until - at_));
  co_return ok();
}

Task<Result<void>> FileSource::fill() {
  if (!ready_.empty() || at_ == end_) co_return ok();
  Result<void> filled = co_await fill_once();
  if (filled.failed_with(Errc::not_found)) {
    // The parts of a file were joined meanwhile: the same version in another object.
    stale_ = true;
    filled = co_await fill_once();
  }
  co_return filled;
}

Task<Result<size_t>> FileSource::read(std::span<std::byte> buffer) {
  ASTER_CO_TRY(co_await fill());
  const size_t n = std::min(buffer.size(), ready_.size());
  if (n > 0) std::memcpy(buffer.data(), ready_.data(), n);
  ready_ = ready_.subspan(n);
  at_ += n;
  co_return n;
}

}  // namespace

Task<Result<std::shared_ptr<ByteSource>>> ContentReader::open(primary::Caller caller, fs::Attr file,
                                                              uint64_t offset, uint64_t length) {
  const auto source =
      std::make_shared<FileSource>(namespaces_, places_, disk_, caller, file, offset, length);
  ASTER_CO_TRY(co_await source->fill());
  co_return std::shared_ptr<ByteSource>(source);
}

}  // namespace aster::content
