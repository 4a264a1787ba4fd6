#include "protocol/client/retry_policy.h"

#include <algorithm>
#include <random>

#include "protocol/http_text.h"

namespace aster {

using std::chrono::milliseconds;

namespace {

double random_share() {
  static thread_local std::minstd_rand generator(std::random_device{}());
  return std::uniform_real_distribution<double>(0, 1)(generator);
}

milliseconds wait_before_next(const RetryPolicy& policy, unsigned attempt,
                              const Result<HttpClientResponse>& outcome) {
  const milliseconds wait = policy.delay(attempt, random_share());
  if (!outcome) return wait;
  return std::max(wait, milliseconds(retry_after(*outcome).value_or(std::chrono::seconds(0))));
}

}  // namespace

milliseconds RetryPolicy::delay(unsigned attempt, double share) const {
  constexpr unsigned kMostDoublings = 20;
  const int64_t grown = first.count() << std::min(attempt, kMostDoublings);
  const int64_t most = std::min<int64_t>(grown, longest.count());
  return milliseconds(static_cast<int64_t>(static_cast<double>(most) * share));
}

bool is_worth_retrying(const Result<HttpClientResponse>& outcome) {
  if (!outcome) {
    return outcome.failed_with(Errc::unavailable) || outcome.failed_with(Errc::timeout);
  }
  const int status = outcome->status;
  return status == 429 || (status >= 502 && status <= 504);
}

std::optional<std::chrono::seconds> retry_after(const HttpClientResponse& response) {
  const std::string* value = find_header(response.headers, "Retry-After");
  if (!value) return std::nullopt;
  const auto seconds = parse_decimal<uint32_t>(trim(*value));
  if (!seconds) return std::nullopt;
  return std::chrono::seconds(*seconds);
}

Task<Result<HttpClientResponse>> send_with_retries(HttpClient& http, Executor& executor,
                                                   RetryPolicy policy, RequestMaker make,
                                                   milliseconds time, CancelToken cancel) {
  const SteadyTime end = std::chrono::steady_clock::now() + time;
  for (unsigned attempt = 0;; ++attempt) {
    const auto left = std::chrono::ceil<milliseconds>(end - std::chrono::steady_clock::now());
    HttpClientRequest request = make(std::max(left, milliseconds(1)));
    Result<HttpClientResponse> outcome = co_await http.send(std::move(request), cancel);
    const bool last = attempt + 1 >= policy.most_attempts || cancel.cancelled();
    if (last || !is_worth_retrying(outcome)) co_return outcome;
    const milliseconds wait = wait_before_next(policy, attempt, outcome);
    if (std::chrono::steady_clock::now() + wait >= end) co_return outcome;
    co_await executor.sleep(wait);
  }
}

}  // namespace aster
