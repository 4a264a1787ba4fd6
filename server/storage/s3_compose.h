#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace aster::storage {

/// Bytes; figure of AWS.
inline constexpr uint64_t kMostS3Object = 5ull << 40;

/// What a service takes as parts of a multipart upload (figures of AWS).
struct S3PartLimits {
  uint64_t smallest = 5ull << 20;      ///< of every part but the last
  uint64_t largest_copy = 1ull << 30;  ///< of one UploadPartCopy; 5 GiB would take it minutes
  size_t most_parts = 10'000;
};

/// One part of the new object, made of ranges of the old ones.
struct S3ComposeStep {
  struct Range {
    size_t source = 0;
    uint64_t offset = 0;
    uint64_t length = 0;
  };
  std::vector<Range> ranges;
  bool copy = false;  ///< one range, copied by the service; else the bytes travel through us
  uint64_t length() const;
};

/// How to join objects of these sizes: whatever is large enough is copied by the service, and small
/// neighbours travel together, no more of them than needed. Empty for no bytes at all.
std::vector<S3ComposeStep> plan_s3_compose(const std::vector<uint64_t>& sizes, S3PartLimits limits);

}  // namespace aster::storage
