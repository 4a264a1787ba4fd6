#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"

/// The XML of the S3 protocol, both ways. io_error for an answer that is not what it should be.
namespace aster::storage {

struct S3ErrorAnswer {
  std::string code;  ///< empty when the text is no error answer
  std::string message;
  std::string region;
};
S3ErrorAnswer parse_s3_error(std::string_view xml);

struct S3KeyPage {
  std::vector<std::string> keys;
  bool truncated = false;
};
/// An answer to ListObjectsV2.
Result<S3KeyPage> parse_s3_keys(std::string_view xml);

struct S3UploadPage {
  struct Item {
    std::string key;
    std::string upload_id;
  };
  std::vector<Item> uploads;
  bool truncated = false;
  std::string next_key;
  std::string next_upload_id;
};
/// An answer to ListMultipartUploads.
Result<S3UploadPage> parse_s3_uploads(std::string_view xml);

/// The upload's id in an answer to CreateMultipartUpload.
Result<std::string> parse_s3_upload_id(std::string_view xml);
/// The ETag in an answer to CopyObject or UploadPartCopy.
Result<std::string> parse_s3_copy(std::string_view xml);

/// Body of CompleteMultipartUpload: parts 1, 2, 3 ... by their ETags.
std::string s3_completion(const std::vector<std::string>& etags);

}  // namespace aster::storage
