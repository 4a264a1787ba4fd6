#include "server/follower/node_enroll.h"

#include <algorithm>
#include <cstdlib>

#include "protocol/base/log.h"
#include "protocol/base_url.h"
#include "protocol/envelope.h"
#include "protocol/messages.h"

namespace aster::follower {
namespace {

constexpr std::string_view kEnrollmentPath = "/api/v1/public/remote-enrollment/";

/// What a primary says of a token that did its work before (protocol section 11.3); the reference's
/// bootstrap compares these texts, too.
constexpr std::string_view kSpentToken[] = {
    "enrollment token has already been completed",
    "enrollment token has expired",
    "enrollment token has been replaced by a newer session",
    "enrollment token has already been redeemed",
};

struct CallOutcome {
  std::optional<Envelope> envelope;  ///< of a success
  EnrollFailure failure;
};

Task<CallOutcome> call_primary(HttpClient& http, std::string master_url, std::string step,
                               std::string json) {
  HttpClientRequest request;
  request.method = "POST";
  request.url = master_url + std::string(kEnrollmentPath) + step;
  request.headers = {{"Content-Type", "application/json"}, {"Accept", "application/json"}};
  request.body.push_back(Bytes::from_string(std::move(json)));
  request.total_timeout = std::chrono::seconds(10);
  CallOutcome out;
  const auto answer = co_await http.send(std::move(request));
  if (!answer.ok()) {
    out.failure.error =
        fail(answer.error().code, step + " at " + master_url + ": " + answer.error().context);
    co_return out;
  }
  const std::string_view body = as_text(answer->body.view());
  auto envelope = decode_envelope(body);
  if (answer->status / 100 == 2 && envelope.ok() && envelope->success) {
    out.envelope = std::move(*envelope);
    co_return out;
  }
  if (envelope.ok()) out.failure.primary_message = envelope->message;
  out.failure.error = answer->status / 100 == 2
                          ? fail(Errc::bad_request, step + ": the primary's answer is no success")
                          : error_of_answer(answer->status, body, step);
  co_return out;
}

Result<Enrollment> to_enrollment(const Envelope& envelope, RedeemAnswer& answer) {
  ASTER_TRY(answer, from_json<RedeemAnswer>(envelope.data));
  Enrollment out;
  out.name = answer.remote_node_name;
  ASTER_TRY(out.master_url, normalize_master_url(answer.master_url));
  out.access_key = answer.access_key;
  out.secret_key = answer.secret_key;
  if (out.access_key.empty() || out.secret_key.empty() || answer.ack_token.empty()) {
    return fail(Errc::bad_request, "redeem: the primary sent empty credentials");
  }
  out.is_enabled = answer.is_enabled;
  out.resolved_transport = answer.resolved_transport;
  out.desired_revision = answer.desired_revision;
  out.storage_namespace = answer.storage_namespace;
  out.dialect = envelope.dialect;
  return out;
}

/// A namespace is one folder name: ours are chosen by an administrator at the primary.
Result<void> check_namespace(const std::optional<std::string>& name) {
  if (!name) return ok();
  const bool legal =
      !name->empty() && name->size() <= 64 && name->front() != '.' &&
      std::all_of(name->begin(), name->end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
      });
  if (legal) return ok();
  return fail(Errc::bad_request, "redeem: the primary's namespace is not [a-z0-9._-]{1,64}");
}

EnrollResult failed(Error error) {
  EnrollResult out;
  out.failure = EnrollFailure{.error = std::move(error)};
  return out;
}

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value ? value : "";
}

bool done_before(const BindingStore& store, const EnrollFailure& failure,
                 const std::string& master_url) {
  const auto url = normalize_master_url(master_url);
  const auto bindings = store.bindings();
  const bool known = url.ok() && std::any_of(bindings.begin(), bindings.end(),
                                             [&](const auto& b) { return b.master_url == *url; });
  return known && std::find(std::begin(kSpentToken), std::end(kSpentToken),
                            failure.primary_message) != std::end(kSpentToken);
}

}  // namespace

Task<EnrollResult> enroll_node(HttpClient& http, BindingStore& store, EnrollRequest request) {
  const auto url = normalize_master_url(request.master_url);
  if (!url.ok()) co_return failed(fail(Errc::bad_request, "master URL: " + url.error().context));
  if (request.token.empty()) co_return failed(fail(Errc::bad_request, "the token is empty"));
  const RedeemRequest redeem{request.token};
  Task<CallOutcome> redeeming = call_primary(http, *url, "redeem", to_json(redeem));
  CallOutcome redeemed = co_await std::move(redeeming);
  EnrollResult out;
  if (!redeemed.envelope) {
    out.failure = std::move(redeemed.failure);
    co_return out;
  }
  RedeemAnswer answer;
  const auto enrollment = to_enrollment(*redeemed.envelope, answer);
  if (!enrollment.ok()) co_return failed(enrollment.error());
  const auto legal = check_namespace(enrollment->storage_namespace);
  if (!legal.ok()) co_return failed(legal.error());
  auto stored = store.enroll(*enrollment);
  if (!stored.ok()) co_return failed(stored.error());
  const AckRequest ack{answer.ack_token};
  Task<CallOutcome> acking = call_primary(http, *url, "ack", to_json(ack));
  CallOutcome acked = co_await std::move(acking);
  if (!acked.envelope) {
    out.failure = std::move(acked.failure);
    out.failure->binding_stored = true;
    out.failure->error.context +=
        " (the binding is stored here, but the primary does not know; enrol again with a new "
        "token)";
    co_return out;
  }
  out.enrolled = std::move(*stored);
  co_return out;
}

Task<void> bootstrap_from_environment(HttpClient& http, BindingStore& store) {
  const EnrollRequest request{variable("ASTER_BOOTSTRAP_REMOTE_MASTER_URL"),
                              variable("ASTER_BOOTSTRAP_REMOTE_ENROLLMENT_TOKEN")};
  if (request.master_url.empty() && request.token.empty()) co_return;
  if (request.master_url.empty() || request.token.empty()) {
    ASTER_LOG(warn, "bootstrap skipped",
              {"err",
               "ASTER_BOOTSTRAP_REMOTE_MASTER_URL and "
               "ASTER_BOOTSTRAP_REMOTE_ENROLLMENT_TOKEN must be set together"});
    co_return;
  }
  const EnrollResult result = co_await enroll_node(http, store, request);
  if (result.enrolled) {
    ASTER_LOG(info, "enrolled", {"name", result.enrolled->binding.name},
              {"master_url", result.enrolled->binding.master_url});
  } else if (done_before(store, *result.failure, request.master_url)) {
    ASTER_LOG(info, "bootstrap was done before", {"master_url", request.master_url});
  } else {
    ASTER_LOG(warn, "bootstrap failed", {"err", result.failure->error});
  }
}

}  // namespace aster::follower
