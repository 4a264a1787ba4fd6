#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "protocol/messages.h"
#include "protocol/version.h"

namespace aster::follower {

/// The record of one primary (protocol section 11.6).
struct Binding {
  int64_t id = 0;
  std::string name;
  std::string master_url;  ///< normalised
  std::string access_key;  ///< unique
  std::string secret_key;
  std::string storage_namespace;  ///< unique, never changes
  bool is_enabled = false;
  std::string resolved_transport;
  int64_t desired_revision = 0;
  std::optional<Dialect> dialect;  ///< what the primary last spoke
};

/// One storage target of one binding, with what TargetInfo must not show.
struct Target {
  int64_t id = 0;
  int64_t binding_id = 0;
  TargetInfo info;
  std::string access_key;  ///< s3 only
  std::string secret_key;
};

/// What enrolment hands over.
struct Enrollment {
  std::string name;
  std::string master_url;  ///< normalised
  std::string access_key;
  std::string secret_key;
  bool is_enabled = false;
  std::string resolved_transport;
  int64_t desired_revision = 1;
  std::optional<std::string> storage_namespace;  ///< made up when the primary did not choose one
  Dialect dialect = Dialect::str;
};

/// Bindings and targets in an SQLite database; all of it is also in memory, so that look-ups never
/// block. Changes block for a commit; call them on an executor. Thread-safe. Rows that another
/// process adds (node enroll) are seen after reload().
class BindingStore {
 public:
  /// Makes and migrates the database. precondition_failed for one that a newer program wrote.
  static Result<std::unique_ptr<BindingStore>> open(const std::string& path, const Clock& clock);
  virtual ~BindingStore() = default;

  /// Takes over what another process wrote since. Blocks.
  virtual Result<void> reload() = 0;
  virtual std::optional<Binding> find(std::string_view access_key) const = 0;
  virtual std::vector<Binding> bindings() const = 0;
  struct Enrolled {
    Binding binding;
    bool created = false;  ///< false: one with the same access key was there
  };
  /// conflict when the access key is stored with another secret, or the namespace is taken by
  /// another binding.
  virtual Result<Enrolled> enroll(const Enrollment& enrollment) = 0;
  /// PUT binding. A revision older than the stored one changes nothing and is fine.
  virtual Result<void> apply_state(int64_t binding_id, const BindingState& state) = 0;
  /// Remembers what the primary speaks; writes only when it differs.
  virtual Result<void> note_dialect(int64_t binding_id, Dialect dialect) = 0;

  /// Default first, then newest first.
  virtual std::vector<Target> targets(int64_t binding_id) const = 0;
  /// Inserts (id 0) or updates one target; when it is the default, all others of its binding cease
  /// to be. Fills id and the two times.
  virtual Result<Target> save_target(Target target) = 0;
  virtual Result<void> remove_target(int64_t target_id) = 0;

  /// Whether the database answers.
  virtual Result<void> ping() const = 0;
};

/// Seconds since the epoch as RFC 3339 in UTC, "2026-01-02T03:04:05Z".
std::string rfc3339(int64_t seconds);

}  // namespace aster::follower
