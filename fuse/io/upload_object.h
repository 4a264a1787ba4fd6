#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "fuse/io/write_arena.h"
#include "protocol/base/ids.h"
#include "protocol/base/task.h"
#include "protocol/fs/messages.h"

namespace aster {

/// One object on its way to a follower: sealed bytes of a file. States, under the file's lock:
/// sealed -> uploaded (the follower has it durably) -> recorded (a commit named it). A failed one
/// gives its bytes back to the fresh layer and is forgotten.
struct UploadObject {
  /// `length` bytes from `object_offset` of the object stand at `offset` of the file.
  struct Range {
    uint64_t offset;
    uint64_t length;
    uint64_t object_offset;
  };

  // Constant after sealing, but for `body`, which the uploading coroutine drops at its end.
  uint64_t size = 0;
  std::vector<Range> ranges;
  /// Where it begins in the object that the follower has: more than 0 in a pack. Set before it is
  /// uploaded.
  uint64_t base = 0;
  std::vector<DirtyPiece> body;   ///< the object's bytes in order
  bool keep_until_commit = true;  ///< false: the bytes leave memory as soon as they are uploaded

  bool uploaded = false;
  bool recorded = false;
  /// Set with `uploaded`: id, size and checksums, no URL. For commits and reads through the cache.
  std::shared_ptr<const fs::ObjectAccess> access;

  Completion<Result<void>> done;  ///< awaited only by whoever holds the file's commit mutex
};

using UploadObjectPtr = std::shared_ptr<UploadObject>;

/// Sealed bytes of a file: in an object that is on its way, or there and not committed yet.
struct PendingPiece {
  DirtyPiece memory;  ///< left() once it was released
  UploadObjectPtr object;
  uint64_t object_offset = 0;
  PendingPiece slice(uint64_t skip, uint64_t length) const {
    return {memory.slice(skip, length), object, object_offset + skip};
  }
};

}  // namespace aster
