#include "protocol/sign/signature.h"

#include <algorithm>

#include "protocol/base/check.h"
#include "protocol/base/ids.h"
#include "protocol/checksum.h"
#include "protocol/http_text.h"
#include "protocol/sign/canonical_request.h"

namespace aster::sign {
namespace {

constexpr int64_t kAllowedSkew = 300;  // protocol: seconds, the bound itself passes
// A request may be dated kAllowedSkew ahead and stays valid as long after its date, so a nonce must
// be kept for twice the skew.
constexpr int64_t kNonceLife = 2 * kAllowedSkew;
constexpr size_t kMostKeyOrNonce = 256;

ApiError token_invalid(std::string why) {
  return {ApiCode::auth_token_invalid, std::move(why)};
}
ApiError credentials_failed() {
  return {ApiCode::auth_credentials_failed, "unknown access key or wrong signature"};
}

bool is_present(const std::optional<std::string_view>& value) {
  return value && !value->empty();
}

/// The three parameters of a presigned URL, form-decoded.
struct PresignQuery {
  std::optional<std::string> access_key;
  std::optional<std::string> expires;
  std::optional<std::string> signature;
};

std::optional<std::string>* slot_for(PresignQuery& query, std::string_view name) {
  if (name == kAccessKeyQuery) return &query.access_key;
  if (name == kExpiresQuery) return &query.expires;
  if (name == kSignatureQuery) return &query.signature;
  return nullptr;
}

// Names are compared raw, as the signed text is cut by raw names too. One given twice is refused.
ApiResult<PresignQuery> read_presign_query(std::string_view target) {
  PresignQuery out;
  for (const std::string_view segment : query_segments(target)) {
    const std::string_view name = segment_name(segment);
    std::optional<std::string>* slot = slot_for(out, name);
    if (!slot) continue;
    auto value = form_decode(segment.substr(std::min(name.size() + 1, segment.size())));
    if (!value || value->empty() || *slot) return token_invalid("invalid presigned parameters");
    *slot = std::move(*value);
  }
  if (!out.access_key || !out.expires || !out.signature) {
    return token_invalid("presigned parameters are missing");
  }
  return out;
}

}  // namespace

std::string signature_hex(std::string_view secret, std::string_view text) {
  return to_hex(hmac_sha256(as_bytes(secret), as_bytes(text)));
}

bool signature_matches(std::string_view secret, std::string_view text, std::string_view signature) {
  Sha256Digest given;
  const bool well_formed = decode_hex(signature, given.data(), given.size());
  const Sha256Digest wanted = hmac_sha256(as_bytes(secret), as_bytes(text));
  return well_formed && constant_time_equal(given, wanted);
}

Headers Signer::sign(std::string_view method, std::string_view target,
                     std::optional<uint64_t> content_length) const {
  const std::string timestamp = std::to_string(clock_.now_seconds());
  const std::string nonce = random_hex(16);
  const std::string text = canonical_text(CanonicalRequest{.method = method,
                                                           .target = target,
                                                           .timestamp = timestamp,
                                                           .nonce = nonce,
                                                           .content_length = content_length});
  return {{std::string(kAccessKeyHeader), credentials_.access_key},
          {std::string(kTimestampHeader), timestamp},
          {std::string(kNonceHeader), nonce},
          {std::string(kSignatureHeader), signature_hex(credentials_.secret_key, text)}};
}

std::string Signer::presign(std::string_view method, std::string_view target,
                            int64_t expires) const {
  ASTER_CHECK(method == "GET" || method == "PUT");
  const std::string when = std::to_string(expires);
  const std::string bare = without_presign_query(target);
  const std::string signature = signature_hex(
      credentials_.secret_key, canonical_text(CanonicalUrl{.method = method,
                                                           .target = bare,
                                                           .access_key = credentials_.access_key,
                                                           .expires = when}));
  const QueryList proof = {{std::string(kAccessKeyQuery), credentials_.access_key},
                           {std::string(kExpiresQuery), when},
                           {std::string(kSignatureQuery), signature}};
  const char separator = bare.find('?') == std::string::npos ? '?' : '&';
  return bare + separator + form_encode(proof);
}

ReceivedRequest ReceivedRequest::from(std::string_view method, std::string_view target,
                                      const Headers& headers,
                                      std::optional<uint64_t> content_length) {
  ReceivedRequest out{.method = method, .target = target, .content_length = content_length};
  const auto take = [](std::optional<std::string_view>& slot, std::string_view value) {
    if (!slot) slot = value;
  };
  for (const auto& [name, value] : headers) {
    if (equals_ignoring_case(name, kAccessKeyHeader)) take(out.access_key, value);
    if (equals_ignoring_case(name, kTimestampHeader)) take(out.timestamp, value);
    if (equals_ignoring_case(name, kNonceHeader)) take(out.nonce, value);
    if (equals_ignoring_case(name, kSignatureHeader)) take(out.signature, value);
  }
  return out;
}

Proof choose_proof(const ReceivedRequest& request) {
  if (request.signature) return Proof::signed_headers;
  if (request.method == "PUT") return Proof::presigned_query;
  if (request.method != "GET") return Proof::signed_headers;
  const auto segments = query_segments(request.target);
  const bool presigned = std::any_of(
      segments.begin(), segments.end(),
      [](std::string_view segment) { return segment_name(segment) == kAccessKeyQuery; });
  return presigned ? Proof::presigned_query : Proof::signed_headers;
}

ApiResult<bool> Verifier::check_clock(std::string_view timestamp) const {
  const auto stamp = parse_decimal<int64_t>(timestamp);
  if (!stamp) return token_invalid("timestamp is not a number");
  int64_t skew = 0;
  const bool overflow = __builtin_sub_overflow(clock_.now_seconds(), *stamp, &skew);
  if (overflow || skew > kAllowedSkew || skew < -kAllowedSkew) {
    return token_invalid("timestamp is too far from this server's clock");
  }
  return true;
}

ApiResult<KeyRecord> Verifier::find_key(std::string_view access_key, bool demand_enabled) const {
  auto record = keys_(access_key);
  if (!record) return credentials_failed();
  if (demand_enabled && !record->enabled) {
    return ApiError(ApiCode::binding_disabled, "the binding is disabled");
  }
  return std::move(*record);
}

ApiResult<bool> Verifier::use_nonce(std::string_view access_key, std::string_view nonce) const {
  ASTER_TRY(const bool fresh, nonces_.insert(access_key, nonce, clock_.now_seconds() + kNonceLife));
  if (!fresh) return token_invalid("nonce was used before");
  return true;
}

ApiResult<std::string> Verifier::verify(const ReceivedRequest& request,
                                        VerifyOptions options) const {
  if (!is_present(request.access_key) || !is_present(request.timestamp) ||
      !is_present(request.nonce) || !is_present(request.signature)) {
    return token_invalid("signature headers are missing");
  }
  if (request.access_key->size() > kMostKeyOrNonce || request.nonce->size() > kMostKeyOrNonce) {
    return token_invalid("signature headers are too long");
  }
  ASTER_TRY(check_clock(*request.timestamp));
  ASTER_TRY(const KeyRecord key, find_key(*request.access_key, options.demand_enabled));
  const std::string text =
      canonical_text(CanonicalRequest{.method = request.method,
                                      .target = request.target,
                                      .timestamp = *request.timestamp,
                                      .nonce = *request.nonce,
                                      .content_length = request.content_length});
  if (!signature_matches(key.secret, text, *request.signature)) return credentials_failed();
  ASTER_TRY(use_nonce(*request.access_key, *request.nonce));
  return std::string(*request.access_key);
}

ApiResult<std::string> Verifier::verify_presigned(std::string_view method,
                                                  std::string_view target) const {
  if (method != "GET" && method != "PUT") return token_invalid("method cannot be presigned");
  ASTER_TRY(const PresignQuery query, read_presign_query(target));
  const auto expires = parse_decimal<int64_t>(*query.expires);
  if (!expires) return token_invalid("aster_expires is not a number");
  if (clock_.now_seconds() > *expires) return token_invalid("the presigned URL has expired");
  ASTER_TRY(const KeyRecord key, find_key(*query.access_key, true));

  std::string bare = without_presign_query(target);
  const auto matches = [&] {
    const std::string text = canonical_text(CanonicalUrl{.method = method,
                                                         .target = bare,
                                                         .access_key = *query.access_key,
                                                         .expires = *query.expires});
    return signature_matches(key.secret, text, *query.signature);
  };
  bool valid = matches();
  if (!valid && bare.find('?') == std::string::npos) {
    bare += '?';  // what v1 and v2 primaries sign when they add no parameter of their own
    valid = matches();
  }
  if (!valid) return credentials_failed();
  return *query.access_key;
}

}  // namespace aster::sign
