#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "protocol/base/clock.h"
#include "protocol/messages.h"
#include "protocol/version.h"
#include "server/db/node_store.h"

namespace aster::primary {

/// One-time tokens with which a follower fetches its credentials. A session goes
/// pending -> redeemed -> completed; a newer one of the same node replaces an open one, and it
/// expires after `kLifetime`. Refusals are bad_request with the literal texts that existing
/// followers compare. Thread-safe.
class Enrollment {
 public:
  static constexpr std::chrono::seconds kLifetime{30 * 60};

  /// `master_url` is where followers find this server; precondition_failed while nobody can say.
  /// `on_enrolled` is told of each node whose enrolment was completed; it may take its time. An
  /// acknowledgement that comes again tells it again, with `first` false.
  Enrollment(db::NodeStore& nodes, std::function<Result<std::string>()> master_url,
             const Clock& clock, std::function<Task<void>(NodeId, bool first)> on_enrolled);

  struct Issued {
    std::string master_url;
    std::string token;  ///< shown once, stored as a hash
    int64_t expires_at = 0;
    std::string command;  ///< to be run on the follower
  };
  /// precondition_failed when the node is enrolled already; not_found.
  Task<Result<Issued>> issue(NodeId node);

  /// `caller` is what the follower's User-Agent says of its dialect; it is remembered.
  Task<Result<RedeemAnswer>> redeem(std::string token, Dialect caller);
  /// Takes the acknowledgement token or the enrolment token; idempotent.
  Task<Result<void>> acknowledge(std::string token);

  /// "not_started", "pending", "redeemed", "completed" or "expired".
  std::string status(const db::NodeRow& node, const std::optional<db::EnrollmentRow>& latest) const;

 private:
  db::NodeStore& nodes_;
  const std::function<Result<std::string>()> master_url_;
  const Clock& clock_;
  const std::function<Task<void>(NodeId, bool first)> on_enrolled_;
};

}  // namespace aster::primary
