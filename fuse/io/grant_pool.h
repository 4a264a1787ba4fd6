#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "fuse/io/io_context.h"
#include "protocol/base/ids.h"

namespace aster {

/// What is known about the file that grants are for.
struct GrantHint {
  uint64_t file_size = 0;  ///< as far as known; chooses the storage policy
  uint32_t likely = 1;     ///< objects that will be uploaded soon, so as not to ask for each
  InodeNo ino{};           ///< for shared grants: a file that they are for
};

/// Permissions to upload objects of one file, fetched several at once and used once each: names of
/// objects are never used again. With `shared` the grants are for any small file; when the primary
/// gives none that can be shared, take() ends with unsupported. Thread-safe.
class GrantPool {
 public:
  GrantPool(std::shared_ptr<IoContext> context, InodeNo ino, bool shared = false)
      : context_(std::move(context)), ino_(ino), shared_(shared), asking_(context_->executor) {}

  /// A grant for an object of `size` bytes.
  Task<Result<fs::UploadGrant>> take(uint64_t size, GrantHint hint, SteadyTime deadline);
  /// Bytes per object, a multiple of kBlockSize; asks the primary when it did not say yet.
  Task<Result<uint64_t>> part_size(GrantHint hint, SteadyTime deadline);
  /// The same when it is known; 0 otherwise.
  uint64_t known_part_size() const { return state_.lock()->part_size; }

 private:
  struct Ready {
    fs::UploadGrant grant;
    uint64_t size_hint;
  };
  struct State {
    std::vector<Ready> ready;
    uint64_t part_size = 0;
    uint32_t asked = 0;
  };
  std::optional<fs::UploadGrant> take_ready(uint64_t size);
  Task<Result<void>> ask(fs::Grant ask, SteadyTime deadline);
  uint64_t usable_part_size(const fs::UploadGrants& grants) const;

  const std::shared_ptr<IoContext> context_;
  const InodeNo ino_;
  const bool shared_;
  AsyncMutex asking_;
  Guarded<State> state_;
};

}  // namespace aster
