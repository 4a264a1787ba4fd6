#pragma once

#include "server/db/account_store.h"

namespace aster::db {

/// A follower as the primary knows it.
struct NodeRow {
  NodeId id;
  std::string name;               ///< unique
  std::string storage_namespace;  ///< unique, [a-z0-9._-]{1,64}
  std::string access_key;         ///< unique
  std::string secret_key;         ///< never leaves the server but in redeem
  std::string base_url;           ///< normalised; empty = the primary cannot reach it directly
  bool enabled = true;
  std::string transport_mode = "direct";
  bool enrolled = false;  ///< a session was completed
  std::string last_error;
  int64_t last_checked_at = 0;  ///< 0 = never
  std::string capabilities;     ///< JSON as decoded; empty = unknown
  std::string dialect;          ///< "num", "str" or empty = unknown
  int64_t desired_revision = 1;
  int64_t created_at = 0;
  int64_t updated_at = 0;
};

/// nullopt = keep.
struct NodeChange {
  std::optional<std::string> name;
  std::optional<std::string> base_url;
  std::optional<bool> enabled;
  std::optional<std::string> transport_mode;
};

/// What a probe found. Does not raise the revision.
struct NodeProbe {
  std::string last_error;  ///< empty = fine
  std::optional<std::string> capabilities;
};

struct EnrollmentRow {
  uint64_t id = 0;
  NodeId node;
  std::string token_hash;  ///< SHA-256 hex
  std::string ack_hash;    ///< SHA-256 hex; empty until redeemed
  int64_t created_at = 0;
  int64_t expires_at = 0;
  int64_t redeemed_at = 0;     ///< 0 = not
  int64_t completed_at = 0;    ///< 0 = not
  int64_t invalidated_at = 0;  ///< 0 = not; replaced by a newer one
};

/// A target as it was last seen at a follower.
struct TargetRow {
  std::string key;
  std::string info;  ///< JSON of TargetInfo
  int64_t seen_at = 0;
};

/// A storage policy as it uses its node.
struct NodeUse {
  std::string policy;      ///< its name
  std::string target_key;  ///< empty = the node's default target
  bool holds_objects = false;
};

/// Remote nodes, their enrolment sessions, their targets as last seen. Thread-safe; a write is
/// durable when answered. The awaiting coroutine goes on on a thread of the executor.
class NodeStore {
 public:
  NodeStore(Database& database, Executor& executor, const Clock& clock);

  /// conflict, naming what is taken: name or namespace.
  Task<Result<NodeRow>> create_node(NodeRow node);
  /// All of them, by id.
  Task<Result<std::vector<NodeRow>>> nodes();
  /// Raises desired_revision. not_found, conflict.
  Task<Result<NodeRow>> update_node(NodeId id, NodeChange change);
  Task<Result<NodeRow>> set_dialect(NodeId id, std::string dialect);
  Task<Result<NodeRow>> record_probe(NodeId id, NodeProbe probe);
  /// precondition_failed while a storage policy names it.
  Task<Result<void>> remove_node(NodeId id);

  /// Ends the open sessions of the node. precondition_failed when the node is enrolled.
  Task<Result<EnrollmentRow>> create_enrollment(EnrollmentRow enrollment);
  /// The newest session of a node; nullopt when there was none.
  Task<Result<std::optional<EnrollmentRow>>> latest_enrollment(NodeId node);
  /// Runs `decide` on the session with this token hash (or, for acknowledgements, ack hash) in one
  /// transaction, which records what it changed; sets the node's `enrolled` when completed_at got
  /// set. `decide` gets nullopt for an unknown hash; its error is handed on and changes nothing.
  using Decide = std::function<Result<void>(std::optional<EnrollmentRow>&)>;
  Task<Result<EnrollmentRow>> change_enrollment(std::string hash, Decide decide);

  Task<Result<void>> store_targets(NodeId node, std::vector<TargetRow> targets);
  Task<Result<std::vector<TargetRow>>> targets(NodeId node);
  /// The storage policies that name the node.
  Task<Result<std::vector<NodeUse>>> uses(NodeId node);

 private:
  Database& database_;
  Executor& executor_;
  const Clock& clock_;
};

}  // namespace aster::db
