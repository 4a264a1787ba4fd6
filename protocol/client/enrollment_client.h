#pragma once

#include <string>

#include "protocol/client/http_client.h"
#include "protocol/client/retry_policy.h"
#include "protocol/messages.h"

namespace aster {

/// A new follower's two calls to its primary. Thread-safe; must outlive its calls. Errors carry the
/// primary's own text at their end (`... : enrollment token has expired`), never a token.
class EnrollmentClient {
 public:
  /// `master_url` is normalised (normalize_master_url). `http` and `executor` must outlive the
  /// client.
  EnrollmentClient(std::string master_url, HttpClient& http, Executor& executor)
      : master_url_(std::move(master_url)), http_(http), executor_(executor) {}

  /// Trades the token for credentials. Sent once: newer primaries take a token only one time.
  Task<Result<RedeemAnswer>> redeem(std::string token);
  /// Confirms that the credentials are stored. May be repeated.
  Task<Result<void>> acknowledge(std::string ack_token);

 private:
  Task<Result<std::string>> post(std::string path, std::string json, std::string doing,
                                 unsigned attempts);

  const std::string master_url_;
  HttpClient& http_;
  Executor& executor_;
};

}  // namespace aster
