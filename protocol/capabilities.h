#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"

namespace aster {

/// Names in Capabilities::features. Those below "ours" go beyond the protocol number and are used
/// only when the peer announces them too.
namespace feature {
inline constexpr std::string_view kObjectGet = "object_get";
inline constexpr std::string_view kObjectHead = "object_head";
inline constexpr std::string_view kObjectPut = "object_put";
inline constexpr std::string_view kObjectDelete = "object_delete";
inline constexpr std::string_view kList = "list";
inline constexpr std::string_view kRangeGet = "range_get";
inline constexpr std::string_view kAcceptRanges = "accept_ranges_header";
inline constexpr std::string_view kBrowserCors = "browser_presigned_cors";
inline constexpr std::string_view kCompose = "compose";
inline constexpr std::string_view kMetadata = "metadata";
inline constexpr std::string_view kBindingStatePull = "binding_state_pull";
// ours
/// PUT takes `x-aster-crc32c` (kCrc32cHeader) and refuses a body that does not match.
inline constexpr std::string_view kIngestCrc32c = "ingest_crc32c";
/// Compose takes the query `keep_parts=true`: the parts stay after success.
inline constexpr std::string_view kComposeKeepParts = "compose_keep_parts";
/// PUT takes the same as the query `crc32c`, which a signature covers (kCrc32cQuery).
inline constexpr std::string_view kIngestCrc32cQuery = "ingest_crc32c_query";
/// Compose takes `part_ranges`: pieces of objects, which all stay.
inline constexpr std::string_view kComposeRanges = "compose_ranges";
/// POST batch-delete removes many objects in one call.
inline constexpr std::string_view kBatchDelete = "batch_delete";
}  // namespace feature

/// CRC32C of a whole request body, 8 hex digits.
inline constexpr std::string_view kCrc32cHeader = "x-aster-crc32c";
inline constexpr std::string_view kCrc32cQuery = "crc32c";

/// What a follower can do, as it says at GET capabilities and as the primary stores it.
struct Capabilities {
  std::string protocol_version;                ///< "v5"
  std::string min_supported_protocol_version;  ///< empty when the peer did not say
  std::string server_version;
  std::map<std::string, bool, std::less<>> features;
  std::vector<std::string> cors_allowed_headers;
  std::vector<std::string> cors_exposed_headers;
  bool has_managed_ingress = false;  ///< the member is there at all (v5)
  bool managed_ingress_enabled = false;
  std::vector<std::string> managed_ingress_drivers;
  bool supports_list = false;
  bool supports_range_read = false;
  bool supports_stream_upload = false;
  bool supports_capacity = false;

  bool has(std::string_view feature) const;
  /// The protocol number; nullopt when it cannot be read.
  std::optional<uint16_t> version() const;
  /// What a use of the follower demands and it does not announce, by name; empty when it can be
  /// used so. A v1 follower announces no features: it has every v1 operation.
  std::vector<std::string> lacking_for_objects() const;
  std::vector<std::string> lacking_for_presigned_downloads() const;  ///< beyond those for objects
  std::vector<std::string> lacking_for_presigned_uploads() const;    ///< likewise
  /// Whether a target of this driver ("local", "s3") can be created there.
  bool takes_target_driver(std::string_view driver) const;
};

/// What our follower answers; `drivers` are the target drivers it was built with.
Capabilities own_capabilities(std::vector<std::string> drivers);

std::string to_json(const Capabilities& capabilities);
/// Lenient: absent members are false or empty, unknown ones are skipped. bad_request when it is no
/// JSON object, too_large beyond 64 KiB.
Result<Capabilities> parse_capabilities(std::string_view json);

}  // namespace aster
