#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base_url.h"
#include "protocol/byte_range.h"
#include "protocol/capabilities.h"
#include "protocol/client/http_client.h"
#include "protocol/client/retry_policy.h"
#include "protocol/http_text.h"
#include "protocol/messages.h"
#include "protocol/sign/signature.h"

namespace aster {

/// A follower as its primary knows it.
struct FollowerEndpoint {
  std::string base_url;  ///< normalised (normalize_base_url), not empty
  sign::Credentials credentials;
  /// The follower's protocol number: up to 4 it has `ingress-profiles` with max_file_size, from 5
  /// `targets` and the max_file_size query.
  uint16_t protocol_version = 5;
  bool keeps_parts = false;    ///< feature::kComposeKeepParts was announced
  bool checks_crc32c = false;  ///< feature::kIngestCrc32c was announced
  bool signs_crc32c = false;   ///< feature::kIngestCrc32cQuery was announced
  bool joins_ranges = false;   ///< feature::kComposeRanges was announced
  bool deletes_many = false;   ///< feature::kBatchDelete was announced
  std::string target_key;      ///< storage target to use (v5); empty = the follower's default

  /// What the capabilities say about version and features.
  void adopt(const Capabilities& capabilities);
};

struct FollowerTimeouts {
  std::chrono::milliseconds binding{5'000};
  std::chrono::milliseconds control{30'000};  ///< capabilities, targets, metadata, list, delete
  std::chrono::milliseconds bulk{3'600'000};  ///< whole PUT, GET and compose
  std::chrono::seconds stall{30};             ///< PUT and GET without a byte moving
};

/// An object to store. Body in memory (may be sent again after a lost connection), or a source
/// (sent once).
struct PutObject {
  std::string key;
  std::vector<Bytes> body;
  std::shared_ptr<ByteSource> source;
  uint64_t source_length = 0;
  std::optional<uint32_t> crc32c;  ///< of the whole body; checked by followers that can
  uint64_t max_size = 0;           ///< the policy's limit, bytes; 0 = none
};

struct GetObject {
  std::string key;
  std::optional<ByteRange> range;  ///< nullopt = all of it
  std::shared_ptr<ByteSink> sink;  ///< gets the bytes; else they come in the answer
  uint64_t max_body = 64 << 20;    ///< without sink: larger is too_large
  /// Called once when the answer begins; see HttpClientRequest.
  std::function<void(int status, const HeaderList&)> on_headers;
};

struct ObjectBytes {
  Bytes body;           ///< empty when a sink took it
  uint64_t length = 0;  ///< bytes received; fewer than asked for only at the object's end
  uint64_t object_size = 0;
};

struct Compose {
  std::string key;                     ///< of the object that is made
  std::vector<std::string> part_keys;  ///< in order, not empty
  /// Or pieces of objects, which stay; unsupported where not announced.
  std::vector<PartRange> part_ranges;
  uint64_t size = 0;        ///< sum of the parts, bytes
  uint64_t max_size = 0;    ///< the policy's limit, bytes; 0 = none
  bool keep_parts = false;  ///< leave the parts; unsupported where not announced
};

/// Headers that a presigned download answers with; empty = as stored.
struct DownloadHeaders {
  std::string cache_control;
  std::string content_disposition;
  std::string content_type;
};

/// Signed, typed calls of a primary to one follower, in the follower's dialect. Thread-safe; must
/// outlive its calls. Failures are Errc: unavailable and timeout (after retries where a call may be
/// repeated), not_found, precondition_failed (disabled, no usable target, or our credentials are
/// refused: never token_invalid, which callers would take for their own), no_space, too_large,
/// bad_request ... The text names the remote code.
class FollowerClient {
 public:
  /// `http`, `executor` and `clock` must outlive the client.
  FollowerClient(FollowerEndpoint endpoint, HttpClient& http, Executor& executor,
                 const Clock& clock, FollowerTimeouts timeouts = {}, RetryPolicy retries = {});

  Task<Result<Capabilities>> capabilities();
  /// unsupported when the target cannot tell.
  Task<Result<Capacity>> capacity();
  Task<Result<void>> put_binding(BindingState state);

  Task<Result<std::vector<TargetInfo>>> list_targets();
  Task<Result<TargetInfo>> create_target(TargetCreate target);
  Task<Result<TargetInfo>> update_target(std::string key, TargetUpdate update);
  Task<Result<void>> delete_target(std::string key);

  /// The follower's ETag without quotes (SHA-256 of the body, hex); empty when it sent none.
  Task<Result<std::string>> put_object(PutObject object);
  Task<Result<ObjectBytes>> get_object(GetObject object);
  /// Size in bytes.
  Task<Result<uint64_t>> head_object(std::string key);
  /// Success also when it is gone already.
  Task<Result<void>> delete_object(std::string key);
  /// delete_object() of each, in order of `keys`; in few calls where the follower can.
  Task<std::vector<Result<void>>> delete_objects(std::vector<std::string> keys);
  Task<Result<ObjectMetadata>> metadata(std::string key);
  /// At most 1000 keys below `prefix` (all of them from an old follower), from `cursor` on. Go on
  /// with next_cursor until there is none; one that does not grow is an error here.
  Task<Result<ObjectList>> list(std::string prefix, std::optional<uint64_t> cursor = {});
  /// Bytes of the new object. When the outcome got lost, the object's metadata decides.
  Task<Result<uint64_t>> compose(Compose compose);

  /// URLs for a client without credentials, good until `expires` (Unix seconds).
  Result<std::string> presign_get(const std::string& key, int64_t expires,
                                  const DownloadHeaders& headers = {}) const;
  Result<std::string> presign_put(const std::string& key, int64_t expires,
                                  uint64_t max_size = 0) const;

  const FollowerEndpoint& endpoint() const noexcept { return endpoint_; }

 private:
  struct Call;
  bool is_v5() const noexcept { return endpoint_.protocol_version >= 5; }
  std::string targets_path() const;
  Result<std::string> object_path(const std::string& key) const;
  QueryList base_query() const;
  QueryList size_query(uint64_t max_size) const;
  std::string target_of(const std::string& path, const QueryList& query) const;
  HttpClientRequest build(const Call& call, std::chrono::milliseconds left) const;
  Task<Result<HttpClientResponse>> send(Call call);
  Task<std::vector<Result<void>>> delete_batch(std::vector<std::string> keys);
  /// send(), and anything but 2xx is an error.
  Task<Result<HttpClientResponse>> demand(Call call);
  /// demand(), and the envelope's data as JSON text.
  Task<Result<std::string>> ask(Call call);

  const FollowerEndpoint endpoint_;
  const BaseUrl base_;
  const sign::Signer signer_;
  HttpClient& http_;
  Executor& executor_;
  const FollowerTimeouts timeouts_;
  const RetryPolicy retries_;
};

}  // namespace aster
