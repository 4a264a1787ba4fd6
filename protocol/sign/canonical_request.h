#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// The byte strings that are signed. Both sides of a call build them from what travels on the wire,
/// never from a decoded or re-encoded form.
namespace aster::sign {

/// Header names of a signed request.
inline constexpr std::string_view kAccessKeyHeader = "x-aster-access-key";
inline constexpr std::string_view kTimestampHeader = "x-aster-timestamp";
inline constexpr std::string_view kNonceHeader = "x-aster-nonce";
inline constexpr std::string_view kSignatureHeader = "x-aster-signature";

/// Query names of a presigned URL.
inline constexpr std::string_view kAccessKeyQuery = "aster_access_key";
inline constexpr std::string_view kExpiresQuery = "aster_expires";
inline constexpr std::string_view kSignatureQuery = "aster_signature";

/// What a request's signature covers; the body is not part of it.
struct CanonicalRequest {
  std::string_view method;     ///< as on the wire, upper case
  std::string_view target;     ///< raw: path and, if sent, '?' and query; a bare '?' stays
  std::string_view timestamp;  ///< Unix seconds as sent
  std::string_view nonce;
  std::optional<uint64_t> content_length;  ///< nullopt when there is no (valid) Content-Length
};
/// Five lines: method, target, timestamp, nonce, length.
std::string canonical_text(const CanonicalRequest& request);

/// What a presigned URL's signature covers.
struct CanonicalUrl {
  std::string_view method;
  std::string_view target;  ///< raw path, and '?' with what is left of the query if anything is
  std::string_view access_key;
  std::string_view expires;  ///< Unix seconds, decimal
};
/// Four lines: method, target, access key, expiry.
std::string canonical_text(const CanonicalUrl& url);

/// The raw non-empty pieces of a target's query, in order; views into `target`.
std::vector<std::string_view> query_segments(std::string_view target);
/// A segment's name: what stands before its '='.
std::string_view segment_name(std::string_view segment);

/// A received target without the three aster_* parameters and without empty query segments; the
/// rest keeps its order and encoding.
std::string without_presign_query(std::string_view target);

}  // namespace aster::sign
