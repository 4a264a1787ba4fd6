#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "protocol/base/executor.h"
#include "protocol/fs/messages.h"
#include "server/content/object_places.h"

namespace aster::content {

/// Checked blocks of one object, in order, from one streamed GET. Used by one caller at a time.
class ObjectBlocks {
 public:
  ObjectBlocks(ObjectPlaces& places, Executor& disk) : places_(places), disk_(disk) {}

  /// Bytes of block `index` of the object, checked; good until the next call. Blocks up to `end`
  /// (a block number) will probably be asked for next. not_found when the object is gone; corrupt
  /// when the block is wrong twice.
  Task<Result<ByteView>> block(const fs::ObjectAccess& object, uint64_t index, uint64_t end);

 private:
  Task<Result<void>> open(const fs::ObjectAccess& object, uint64_t index, uint64_t end);
  Task<Result<void>> fill(size_t wanted);
  Task<Result<size_t>> read_some(std::span<std::byte> buffer);

  ObjectPlaces& places_;
  Executor& disk_;
  std::vector<std::byte> bytes_;
  std::optional<ObjectId> object_;  ///< of the stream that is open
  uint64_t next_ = 0;               ///< block that the stream gives next
  uint64_t end_ = 0;
  std::optional<http::FileBody> file_;
  std::shared_ptr<ByteSource> stream_;
};

}  // namespace aster::content
