#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include "protocol/base/executor.h"
#include "protocol/client/http_client.h"

namespace aster {

/// Exponential back-off with full jitter: after attempt n (from 0) wait anything up to
/// min(longest, first * 2^n), so that the clients of a server that comes back do not all call at
/// the same moment.
struct RetryPolicy {
  std::chrono::milliseconds first{50};
  std::chrono::milliseconds longest{2000};
  unsigned most_attempts = 8;

  /// `share` in [0, 1) picks from the range.
  std::chrono::milliseconds delay(unsigned attempt, double share) const;
};

/// Whether another attempt may do better: no connection, a lost one, a timeout, or the statuses
/// 429, 502, 503 and 504.
bool is_worth_retrying(const Result<HttpClientResponse>& outcome);

/// The answer's Retry-After in seconds form; nullopt when absent or a date.
std::optional<std::chrono::seconds> retry_after(const HttpClientResponse& response);

/// Makes the request of one attempt; `left` is what remains of the whole time. Called anew for each
/// attempt, as a signature's nonce is good once.
using RequestMaker = std::function<HttpClientRequest(std::chrono::milliseconds left)>;

/// Sends until an outcome is not worth retrying, the attempts are used up or the next one could not
/// start within `time`; then answers with the last outcome. For calls that may be repeated only.
/// `http` and `executor` must outlive the task.
Task<Result<HttpClientResponse>> send_with_retries(HttpClient& http, Executor& executor,
                                                   RetryPolicy policy, RequestMaker make,
                                                   std::chrono::milliseconds time,
                                                   CancelToken cancel);

}  // namespace aster
