#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"

/// Bodies of the follower protocol and of enrolment, and their only JSON codec.
namespace aster {

/// PUT binding, and what a follower pulls from GET binding-state.
struct BindingState {
  std::string name;
  bool is_enabled = false;
  std::string resolved_transport;  ///< "direct" or "reverse_tunnel" (also when the peer is silent)
  int64_t desired_revision = 1;
};

/// POST targets. `endpoint`, `bucket` and the keys are for s3 only.
struct TargetCreate {
  std::string driver_type;  ///< "local" or "s3"
  std::string name;
  std::string base_path;
  std::string endpoint;
  std::string bucket;
  std::string access_key;
  std::string secret_key;
  std::optional<int64_t> max_file_size;  ///< bytes, 0 = no limit; a v5 primary does not send it
  bool is_default = false;
};

/// PATCH of a target; nullopt = keep.
struct TargetUpdate {
  std::optional<std::string> name;
  std::optional<std::string> driver_type;
  std::optional<std::string> endpoint;
  std::optional<std::string> bucket;
  std::optional<std::string> access_key;
  std::optional<std::string> secret_key;
  std::optional<std::string> base_path;
  std::optional<int64_t> max_file_size;
  std::optional<bool> is_default;
};

/// A target as it is shown; never with its secrets. Written with the names of all versions.
struct TargetInfo {
  std::string target_key;
  std::string name;
  std::string driver_type;
  std::string endpoint;
  std::string bucket;
  std::string base_path;
  int64_t max_file_size = 0;
  bool is_default = false;
  int64_t desired_revision = 0;
  int64_t applied_revision = 0;
  std::string last_error;  ///< empty = fine
  std::string created_at;  ///< RFC 3339
  std::string updated_at;
};

struct ObjectList {
  std::vector<std::string> items;  ///< full keys without namespace, sorted bytewise
  std::optional<uint64_t> next_cursor;
};

struct ObjectMetadata {
  uint64_t size = 0;
  std::optional<std::string> content_type;
};

/// A piece of an object.
struct PartRange {
  std::string key;
  uint64_t offset = 0;
  uint64_t length = 0;  ///< bytes, not 0
};

struct ComposeRequest {
  std::string target_key;  ///< key of the object that is made (not a storage target)
  std::vector<std::string> part_keys;
  /// Ours (feature::kComposeRanges), in place of `part_keys`.
  std::vector<PartRange> part_ranges;
  int64_t expected_size = 0;
};

struct ComposeAnswer {
  uint64_t bytes_written = 0;
};

/// POST batch-delete (ours, feature::kBatchDelete). Objects that are not there count as deleted.
struct BatchDelete {
  std::vector<std::string> keys;  ///< 1 to kMostDeleted
};
inline constexpr size_t kMostDeleted = 1000;

struct BatchDeleteAnswer {
  struct Failure {
    std::string key;
    std::string code;  ///< of the string dialect
    std::string message;
  };
  uint64_t deleted = 0;
  std::vector<Failure> failed;
};

struct Capacity {
  std::string status;  ///< "supported", "unsupported" or "unavailable"
  std::optional<int64_t> total_bytes;
  std::optional<int64_t> available_bytes;
  std::optional<int64_t> used_bytes;
  std::string source;
  std::string observed_at;  ///< RFC 3339
};

struct RedeemRequest {
  std::string token;
};

struct RedeemAnswer {
  int64_t remote_node_id = 0;
  std::string remote_node_name;
  std::string master_url;
  std::string access_key;
  std::string secret_key;
  bool is_enabled = false;
  std::string ack_token;
  std::string resolved_transport;  ///< "direct" or "reverse_tunnel" (also when the peer is silent)
  int64_t desired_revision = 1;
  /// Storage namespace that our own primary chose; nullopt from a foreign one.
  std::optional<std::string> storage_namespace;
};

struct AckRequest {
  std::string ack_token;
};

std::string to_json(const BindingState& message);
/// Written as a v4 (`with_max_file_size`) or a v5 follower wants it.
std::string to_json(const TargetCreate& message, bool with_max_file_size);
std::string to_json(const TargetUpdate& message, bool with_max_file_size);
std::string to_json(const TargetInfo& message);
std::string to_json(const std::vector<TargetInfo>& message);
std::string to_json(const ObjectList& message);
std::string to_json(const ObjectMetadata& message);
std::string to_json(const ComposeRequest& message);
std::string to_json(const ComposeAnswer& message);
std::string to_json(const BatchDelete& message);
std::string to_json(const BatchDeleteAnswer& message);
std::string to_json(const Capacity& message);  ///< with its outer {"capacity": ...}
std::string to_json(const RedeemRequest& message);
std::string to_json(const RedeemAnswer& message);
std::string to_json(const AckRequest& message);

/// Largest JSON request body, bytes.
inline constexpr size_t kMaxJsonRequest = 1 << 20;

/// Reads one of the messages above, or std::vector<TargetInfo>. Unknown members are skipped.
/// bad_request names the member that is missing or of the wrong type (never its value); too_large
/// beyond 1 MiB (ObjectList: 8 MiB).
template <class T>
Result<T> from_json(std::string_view json);

template <>
Result<BindingState> from_json(std::string_view json);
template <>
Result<TargetCreate> from_json(std::string_view json);
template <>
Result<TargetUpdate> from_json(std::string_view json);
template <>
Result<TargetInfo> from_json(std::string_view json);
template <>
Result<std::vector<TargetInfo>> from_json(std::string_view json);
template <>
Result<ObjectList> from_json(std::string_view json);
template <>
Result<ObjectMetadata> from_json(std::string_view json);
template <>
Result<ComposeRequest> from_json(std::string_view json);
template <>
Result<ComposeAnswer> from_json(std::string_view json);
template <>
Result<BatchDelete> from_json(std::string_view json);
template <>
Result<BatchDeleteAnswer> from_json(std::string_view json);
template <>
Result<Capacity> from_json(std::string_view json);
template <>
Result<RedeemRequest> from_json(std::string_view json);
template <>
Result<RedeemAnswer> from_json(std::string_view json);
template <>
Result<AckRequest> from_json(std::string_view json);

}  // namespace aster
