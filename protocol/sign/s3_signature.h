#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace aster::sign {

/// Who signs requests to an S3 service. Never logged.
struct S3Identity {
  std::string access_key;
  std::string secret_key;
  std::string region;
};

using S3Headers = std::vector<std::pair<std::string, std::string>>;

/// One request as it is signed (AWS Signature Version 4, service "s3").
struct S3Request {
  std::string_view method;
  /// Absolute, in canonical form: everything but unreserved characters (and '/' in the path) is
  /// percent-encoded in upper case, the query is sorted, each of its names is followed by '='.
  std::string_view url;
  S3Headers headers;                ///< all of them are signed; without Host
  std::string_view payload_sha256;  ///< of the body, hex
};

/// The headers to send: those of the request, x-amz-content-sha256, x-amz-date (`now`: seconds
/// since the epoch) and Authorization.
S3Headers sign_s3(const S3Identity& identity, const S3Request& request, int64_t now);

}  // namespace aster::sign
