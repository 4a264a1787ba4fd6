#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "fuse/io/interval_map.h"
#include "fuse/io/upload_plan.h"
#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "protocol/fs/messages.h"

namespace aster {

/// Bytes of an object that stand in a file.
struct ObjectPiece {
  std::shared_ptr<const fs::ObjectAccess> object;
  uint64_t object_offset = 0;
  ObjectPiece slice(uint64_t skip, uint64_t) const { return {object, object_offset + skip}; }
};

/// What the primary said about the content of one file, window by window; all windows are of the
/// same data_version. Used under the file's lock.
class ManifestMap {
 public:
  /// The unit in which manifests are asked for.
  static constexpr uint64_t kWindow = 1ull << 30;

  /// The part of [offset, offset + kWindow) up to the next window boundary that is not known yet,
  /// with `offset` in it. Call only when known_until(offset) == offset.
  FileRange window_to_load(uint64_t offset) const;
  /// From `offset` on, `length` bytes at most: for looking over large holes.
  FileRange window_from(uint64_t offset, uint64_t length) const;
  /// Takes the answer for `asked`. io_error (and no change) when it contradicts itself.
  Result<void> install(FileRange asked, const fs::Manifest& manifest, SteadyTime now);
  /// There is nothing in the file.
  void install_empty();
  void clear();

  /// End of what is known without a break from `offset` on; `offset` when it is not.
  uint64_t known_until(uint64_t offset) const { return windows_.covered_until(offset); }
  const IntervalMap<ObjectPiece>& extents() const { return extents_; }

  /// Forgets the window around `offset` (its URLs expired, its objects are gone), unless it was
  /// loaded after `before`. True when it is to be loaded again.
  bool forget(uint64_t offset, SteadyTime before);
  /// When the window around `offset` was loaded; the epoch when it is not known.
  SteadyTime loaded_at(uint64_t offset) const;

  /// Lays a commit of this client over the known windows. Its objects have no URL yet.
  void apply(const fs::Commit& commit,
             const std::vector<std::shared_ptr<const fs::ObjectAccess>>& objects);

 private:
  struct Window {
    SteadyTime loaded;
    Window slice(uint64_t, uint64_t) const { return *this; }
  };
  // More windows than this are forgotten altogether before the next is taken: a bound on memory.
  static constexpr size_t kWindowsMax = 64;

  IntervalMap<Window> windows_;
  IntervalMap<ObjectPiece> extents_;
};

}  // namespace aster
