#pragma once

#include <string>
#include <string_view>

#include "protocol/base/result.h"
#include "protocol/http_text.h"

namespace aster::storage {

/// Where a bucket is and how its URLs are made, in the canonical form that signatures cover.
class S3Address {
 public:
  /// `endpoint` is http(s)://HOST[:PORT][/PATH]; as the follower protocol has no fields for them,
  /// `?region=NAME` and `?style=path` or `?style=virtual` may follow. Without a region it is read
  /// off the host of AWS, and "us-east-1" elsewhere; without a style, AWS gets virtual hosts where
  /// the bucket's name allows it, everybody else paths. bad_request names what is wrong.
  static Result<S3Address> parse(std::string_view endpoint, std::string_view bucket);

  /// Of an object; an empty key means the bucket itself. `query` in any order.
  std::string url(std::string_view key, QueryList query = {}) const;
  /// For x-amz-copy-source.
  std::string copy_source(std::string_view key) const;

  const std::string& bucket() const noexcept { return bucket_; }
  const std::string& region() const noexcept { return region_; }

 private:
  std::string root_;  ///< URL of the bucket, without a slash at its end
  std::string bucket_;
  std::string region_;
};

}  // namespace aster::storage
