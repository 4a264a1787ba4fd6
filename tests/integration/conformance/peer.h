#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/envelope.h"
#include "protocol/sign/signature.h"
#include "tests/support/raw_client.h"

namespace aster::conformance {

inline constexpr std::string_view kOld = "AsterDrive/0.2.2";  ///< speaks numbers
inline constexpr std::string_view kNew = "AsterDrive/0.5.0";  ///< speaks strings

using Headers = std::vector<std::pair<std::string, std::string>>;

/// One request before it is signed.
struct Call {
  std::string method = "GET";
  std::string path;  ///< below the storage path, with query: "/objects/a?offset=1"
  std::optional<std::string> body;
  Headers headers;
  std::string_view agent = kNew;  ///< empty = no User-Agent
};

/// The follower under test as one binding sees it.
class Peer {
 public:
  struct Options {
    std::string host;
    uint16_t port = 0;
    std::string prefix;  ///< path of the base URL
    sign::Credentials credentials;
    std::string browser_origin;  ///< origin of the binding's master URL
    /// Of another binding on the same follower; the rows about two bindings need them.
    std::optional<sign::Credentials> second;
    /// JSON members that make the default target one in a bucket; empty: a local one.
    std::string s3_members;
  };
  explicit Peer(Options options);

  /// Signs and sends; the status is 0 when the connection ended without an answer.
  testing::RawAnswer call(const Call& call) const;
  testing::RawAnswer get(std::string path) const { return call({.path = std::move(path)}); }
  testing::RawAnswer put(std::string path, std::string body) const {
    return call({.method = "PUT", .path = std::move(path), .body = std::move(body)});
  }
  testing::RawAnswer json(std::string method, std::string path, std::string body) const;
  /// Sends as it is: no signature is added.
  testing::RawAnswer send(const Call& call) const;
  /// The four headers for a call, to be tampered with.
  Headers sign(const Call& call) const;
  /// A presigned path (below the storage path) that ends after `seconds`.
  std::string presign(std::string_view method, std::string_view path, int64_t seconds) const;
  /// The whole request target of a call.
  std::string target(const Call& call) const;
  /// Health paths do not lie below the storage path.
  testing::RawAnswer health(std::string method, std::string path, std::string_view agent) const;

  const Options& options() const { return options_; }

 private:
  testing::RawAnswer exchange(const std::string& method, const std::string& target,
                              const Call& call) const;

  const Options options_;
  SystemClock clock_;
  sign::Signer signer_;
};

/// "400 bad_request" or "400 1000/internal_storage.range_header_invalid" of an error answer.
std::string verdict(const testing::RawAnswer& answer);
/// Its status and what it says of other origins.
std::string cors_of(const testing::RawAnswer& answer);
/// The data member of an envelope as JSON text; empty when there is none.
std::string data_of(const testing::RawAnswer& answer);
/// Member of a flat JSON object in text form: strings without quotes. "" when absent.
std::string member(const std::string& json, std::string_view name);

}  // namespace aster::conformance
