#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/storage/s3_target.h"

namespace aster::storage {

/// Bytes of parts that are filled or under way, over all uploads of a program: 8 of two parts each.
inline constexpr uint64_t kS3UploadMemory = 128 << 20;

/// S3Target::check() with an end: timeout when the service takes more than some seconds. The check
/// goes on by itself then.
Task<Result<void>> check_s3_target(std::shared_ptr<S3Target> target, S3Services services);

/// Whether the bucket answers and lets itself be listed; as cheap as it gets, with the same end.
Task<Result<void>> reach_s3_target(std::shared_ptr<S3Target> target, S3Services services);

/// What uploads of a dead process left below a folder.
struct S3Leftovers {
  std::shared_ptr<S3Target> target;
  std::string folder;
};
/// Aborts them all; takes at most some seconds and logs what could not be done. For the start of a
/// program: what begins after its end is not touched.
Task<void> remove_s3_leftovers(std::vector<S3Leftovers> places, S3Services services);

}  // namespace aster::storage
