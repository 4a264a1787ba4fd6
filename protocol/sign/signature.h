#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/api_error.h"
#include "protocol/base/clock.h"
#include "protocol/sign/nonce_store.h"

namespace aster::sign {

/// Header fields, the same type as in protocol/client/http_client.h.
using Headers = std::vector<std::pair<std::string, std::string>>;

/// HMAC-SHA256 of the text, lower-case hex. The key is the secret's own bytes (not hex-decoded).
std::string signature_hex(std::string_view secret, std::string_view text);

/// Whether `signature` (64 hex digits of any case) is that of the text; constant time in the MAC.
bool signature_matches(std::string_view secret, std::string_view text, std::string_view signature);

struct Credentials {
  std::string access_key;
  std::string secret_key;
};

/// Signs calls of one key. Thread-safe.
class Signer {
 public:
  /// `clock` must outlive the signer.
  Signer(Credentials credentials, const Clock& clock)
      : credentials_(std::move(credentials)), clock_(clock) {}

  /// The four headers for this request, with a fresh nonce. `content_length` must be exactly what
  /// is sent: nullopt for GET, HEAD and DELETE without a body, 0 for an empty body.
  Headers sign(std::string_view method, std::string_view target,
               std::optional<uint64_t> content_length) const;

  /// `target` (path and query) with the three parameters appended; good until `expires` (Unix
  /// seconds, inclusive). GET and PUT only.
  std::string presign(std::string_view method, std::string_view target, int64_t expires) const;

  const std::string& access_key() const noexcept { return credentials_.access_key; }

 private:
  const Credentials credentials_;
  const Clock& clock_;
};

/// What a verifier must know of a key.
struct KeyRecord {
  std::string secret;
  bool enabled = true;
};
/// Access key to record; nullopt when unknown. Called on the verifying thread; must not block.
using KeyLookup = std::function<std::optional<KeyRecord>(std::string_view access_key)>;

/// A received request, as it stood on the wire. Absent headers are nullopt.
struct ReceivedRequest {
  std::string_view method;
  std::string_view target;
  std::optional<uint64_t> content_length;
  std::optional<std::string_view> access_key;
  std::optional<std::string_view> timestamp;
  std::optional<std::string_view> nonce;
  std::optional<std::string_view> signature;

  /// Takes the four values out of `headers` (names in any case); views into the arguments.
  static ReceivedRequest from(std::string_view method, std::string_view target,
                              const Headers& headers, std::optional<uint64_t> content_length);
};

/// How an object request proves itself.
enum class Proof { signed_headers, presigned_query };
/// PUT: signed when the signature header is there, else presigned. GET: signed when the header is
/// there, else presigned when the query names aster_access_key, else signed. Others: signed.
Proof choose_proof(const ReceivedRequest& request);

struct VerifyOptions {
  bool demand_enabled = true;  ///< false for PUT binding and the management of targets
};

/// Checks requests in the order of the protocol: headers, clock, key, enabled, signature, nonce.
/// Failures are exactly auth.token_invalid, auth.credentials_failed, master_binding.disabled, and
/// rate_limited when the nonce store cannot take more. Thread-safe as far as its parts are.
class Verifier {
 public:
  /// `nonces` and `clock` must outlive the verifier.
  Verifier(KeyLookup keys, NonceStore& nonces, const Clock& clock)
      : keys_(std::move(keys)), nonces_(nonces), clock_(clock) {}

  /// A signed request; the answer is its access key. Uses up the nonce, but only of a request that
  /// passes all else.
  ApiResult<std::string> verify(const ReceivedRequest& request, VerifyOptions options = {}) const;
  /// A presigned GET or PUT; can be repeated until its expiry.
  ApiResult<std::string> verify_presigned(std::string_view method, std::string_view target) const;

 private:
  ApiResult<KeyRecord> find_key(std::string_view access_key, bool demand_enabled) const;
  ApiResult<bool> check_clock(std::string_view timestamp) const;
  ApiResult<bool> use_nonce(std::string_view access_key, std::string_view nonce) const;

  const KeyLookup keys_;
  NonceStore& nonces_;
  const Clock& clock_;
};

}  // namespace aster::sign
