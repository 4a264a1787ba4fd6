#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/base/clock.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"

namespace aster::primary {

/// What a relay path allows: one PUT, or ranged GETs, of one object until it expires.
struct RelayGrant {
  std::string method;  ///< "PUT" or "GET"
  PolicyId policy;
  ObjectId object;
  int64_t expires = 0;  ///< unix seconds, inclusive
};

/// Paths on this primary that are capabilities:
/// /api/v1/data/objects/<hex>?policy=N&expires=S&sig=<HMAC-SHA256, hex>. Thread-safe.
class RelayUrls {
 public:
  /// `key` is secret and must survive restarts, so that grants given out stay good.
  RelayUrls(std::string key, const Clock& clock) : key_(std::move(key)), clock_(clock) {}

  std::string path_for(const RelayGrant& grant) const;
  /// Checks what came in. bad_request for a malformed path, token_invalid for an expired one or one
  /// that this key did not sign for this method.
  Result<RelayGrant> verify(std::string_view method, std::string_view object_hex,
                            std::string_view raw_query) const;

  static constexpr std::string_view kRoute = "/api/v1/data/objects/{}";

 private:
  std::string signature(const RelayGrant& grant) const;

  const std::string key_;
  const Clock& clock_;
};

}  // namespace aster::primary
