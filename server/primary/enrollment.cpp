#include "server/primary/enrollment.h"

#include "protocol/checksum.h"

namespace aster::primary {
namespace {

// Section 11.3 of the protocol: the container bootstrap of followers compares these letter by
// letter.
constexpr const char* kUnknown = "invalid enrollment token";
constexpr const char* kExpired = "enrollment token has expired";
constexpr const char* kReplaced = "enrollment token has been replaced by a newer session";
constexpr const char* kCompleted = "enrollment token has already been completed";
constexpr const char* kRedeemed = "enrollment token has already been redeemed";
constexpr const char* kInvalidated = "enrollment session has been invalidated";
constexpr const char* kNotRedeemed = "enrollment token has not been redeemed";

constexpr size_t kTokenMax = 256;

std::string hash_of(std::string_view token) {
  return to_hex(sha256(as_bytes(token)));
}

Result<void> may_redeem(const std::optional<db::EnrollmentRow>& session, int64_t now) {
  if (!session) return fail(Errc::bad_request, kUnknown);
  if (session->completed_at != 0) return fail(Errc::bad_request, kCompleted);
  if (session->invalidated_at != 0) return fail(Errc::bad_request, kReplaced);
  if (session->redeemed_at != 0) return fail(Errc::bad_request, kRedeemed);
  if (now >= session->expires_at) return fail(Errc::bad_request, kExpired);
  return ok();
}

Result<void> may_acknowledge(const std::optional<db::EnrollmentRow>& session, int64_t now) {
  if (!session) return fail(Errc::bad_request, kUnknown);
  if (session->completed_at != 0) return ok();
  if (session->invalidated_at != 0) return fail(Errc::bad_request, kInvalidated);
  if (session->redeemed_at == 0) return fail(Errc::bad_request, kNotRedeemed);
  if (now >= session->expires_at) return fail(Errc::bad_request, kExpired);
  return ok();
}

RedeemAnswer answer_of(const db::NodeRow& node, std::string master_url, std::string ack_token) {
  RedeemAnswer answer;
  answer.remote_node_id = static_cast<int64_t>(node.id.value);
  answer.remote_node_name = node.name;
  answer.master_url = std::move(master_url);
  answer.access_key = node.access_key;
  answer.secret_key = node.secret_key;
  answer.is_enabled = node.enabled;
  answer.ack_token = std::move(ack_token);
  answer.resolved_transport = "direct";
  answer.desired_revision = node.desired_revision;
  answer.storage_namespace = node.storage_namespace;
  return answer;
}

}  // namespace

Enrollment::Enrollment(db::NodeStore& nodes, std::function<Result<std::string>()> master_url,
                       const Clock& clock,
                       std::function<Task<void>(NodeId, bool first)> on_enrolled)
    : nodes_(nodes),
      master_url_(std::move(master_url)),
      clock_(clock),
      on_enrolled_(std::move(on_enrolled)) {}

Task<Result<Enrollment::Issued>> Enrollment::issue(NodeId node) {
  Issued issued{.token = "enr_" + random_hex(16)};
  ASTER_CO_TRY(issued.master_url, master_url_());
  issued.expires_at = clock_.now_seconds() + kLifetime.count();
  issued.command =
      "aster_drive node enroll --master-url " + issued.master_url + " --token " + issued.token;
  db::EnrollmentRow row{.node = node, .token_hash = hash_of(issued.token)};
  row.expires_at = issued.expires_at;
  ASTER_CO_TRY(row, co_await nodes_.create_enrollment(std::move(row)));
  co_return issued;
}

Task<Result<RedeemAnswer>> Enrollment::redeem(std::string token, Dialect caller) {
  if (token.size() > kTokenMax) co_return fail(Errc::bad_request, kUnknown);
  ASTER_CO_TRY(std::string master_url, master_url_());
  const int64_t now = clock_.now_seconds();
  const std::string ack_token = "enr_ack_" + random_hex(32);
  const std::string ack_hash = hash_of(ack_token);
  const std::string hash = hash_of(token);
  db::NodeStore::Decide decide = [&](std::optional<db::EnrollmentRow>& session) -> Result<void> {
    // An acknowledgement token finds its session too, but is none to redeem.
    if (session && session->token_hash != hash) session.reset();
    ASTER_TRY(may_redeem(session, now));
    session->redeemed_at = now;
    session->ack_hash = ack_hash;
    return ok();
  };
  ASTER_CO_TRY(const db::EnrollmentRow session,
               co_await nodes_.change_enrollment(hash, std::move(decide)));
  ASTER_CO_TRY(const db::NodeRow node,
               co_await nodes_.set_dialect(session.node, caller == Dialect::num ? "num" : "str"));
  co_return answer_of(node, std::move(master_url), ack_token);
}

Task<Result<void>> Enrollment::acknowledge(std::string token) {
  if (token.size() > kTokenMax) co_return fail(Errc::bad_request, kUnknown);
  const int64_t now = clock_.now_seconds();
  bool first = false;
  db::NodeStore::Decide decide = [&](std::optional<db::EnrollmentRow>& session) -> Result<void> {
    ASTER_TRY(may_acknowledge(session, now));
    first = session->completed_at == 0;
    if (first) session->completed_at = now;
    return ok();
  };
  ASTER_CO_TRY(const db::EnrollmentRow session,
               co_await nodes_.change_enrollment(hash_of(token), std::move(decide)));
  co_await on_enrolled_(session.node, first);
  co_return ok();
}

std::string Enrollment::status(const db::NodeRow& node,
                               const std::optional<db::EnrollmentRow>& latest) const {
  if (node.enrolled) return "completed";
  if (!latest || latest->invalidated_at != 0) return "not_started";
  if (clock_.now_seconds() >= latest->expires_at) return "expired";
  return latest->redeemed_at != 0 ? "redeemed" : "pending";
}

}  // namespace aster::primary
