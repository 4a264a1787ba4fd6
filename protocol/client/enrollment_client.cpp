#include "protocol/client/enrollment_client.h"

#include "protocol/envelope.h"
#include "protocol/version.h"

namespace aster {
namespace {

constexpr std::chrono::milliseconds kTimeout{10'000};  // protocol: client timeout of enrolment

}  // namespace

Task<Result<std::string>> EnrollmentClient::post(std::string path, std::string json,
                                                 std::string doing, unsigned attempts) {
  RequestMaker make = [url = master_url_ + "/api/v1/public/remote-enrollment/" + path,
                       json](std::chrono::milliseconds left) {
    HttpClientRequest request{.method = "POST", .url = url};
    // The name makes any primary answer in the string dialect.
    request.headers = {{"User-Agent", std::string(kUserAgent)},
                       {"Content-Type", "application/json"}};
    request.body = {Bytes::from_string(json)};
    request.max_body = kMaxControlAnswer;
    request.total_timeout = left;
    return request;
  };
  const RetryPolicy policy{.most_attempts = attempts};
  Result<HttpClientResponse> outcome = co_await send_with_retries(
      http_, executor_, policy, std::move(make), kTimeout, CancelToken());
  if (!outcome) co_return fail(outcome.error().code, doing + ": " + outcome.error().context);
  const std::string_view body = as_text(outcome->body.view());
  if (outcome->status / 100 != 2) co_return error_of_answer(outcome->status, body, doing);
  auto envelope = decode_envelope(body);
  if (!envelope || !envelope->success) {
    co_return fail(Errc::unavailable, doing + ": the primary's answer cannot be read");
  }
  co_return std::move(envelope->data);
}

Task<Result<RedeemAnswer>> EnrollmentClient::redeem(std::string token) {
  std::string body = to_json(RedeemRequest{std::move(token)});
  ASTER_CO_TRY(const std::string data,
               co_await post("redeem", std::move(body), "redeem enrollment token", 1));
  co_return from_json<RedeemAnswer>(data);
}

Task<Result<void>> EnrollmentClient::acknowledge(std::string ack_token) {
  std::string body = to_json(AckRequest{std::move(ack_token)});
  ASTER_CO_TRY(const std::string data,
               co_await post("ack", std::move(body), "acknowledge enrollment", 4));
  co_return ok();
}

}  // namespace aster
