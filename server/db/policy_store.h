#pragma once

#include "server/db/account_store.h"

namespace aster::db {

/// A bucket and who uses it. The keys never leave the server and are never logged.
struct BucketAccess {
  std::string endpoint;  ///< URL of the service, as storage::S3Address takes it
  std::string bucket;
  std::string access_key;
  std::string secret_key;
  bool operator==(const BucketAccess&) const = default;
};

/// A storage policy: where the bytes of new files go and how they travel.
struct PolicyRow {
  PolicyId id;
  std::string name;    ///< unique
  std::string driver;  ///< "local", "remote" or "s3"
  std::string base_path;
  std::optional<NodeId> node;  ///< remote
  std::string target_key;      ///< remote: a target of the follower; empty = its default
  BucketAccess s3;             ///< s3; empty for the others
  uint64_t max_file_size = 0;  ///< bytes, 0 = no limit
  uint64_t chunk_size = 0;     ///< bytes of one part
  bool is_default = false;
  std::string allowed_types = "[]";  ///< JSON array of strings
  std::string options = "{}";        ///< JSON object
  int64_t created_at = 0;
  int64_t updated_at = 0;
};

/// Storage policies and the server's settings. Thread-safe; a write is durable when answered. The
/// awaiting coroutine goes on on a thread of the executor.
class PolicyStore {
 public:
  PolicyStore(Database& database, Executor& executor, const Clock& clock);

  /// The first policy becomes the default; a new default takes the mark from the old one. conflict
  /// when the name is taken, not_found when the node is not there.
  Task<Result<PolicyRow>> create_policy(PolicyRow policy);
  /// All of them, by id.
  Task<Result<std::vector<PolicyRow>>> policies();
  /// Writes every field but the driver and times. The default cannot lose its mark (another one has
  /// to take it), and while objects are stored under the policy its node, target, bucket and
  /// base path do not change: precondition_failed.
  Task<Result<PolicyRow>> update_policy(PolicyRow policy);
  /// precondition_failed while it is the default and others exist, objects are stored under it, or
  /// a rule, a directory or a migration that has not ended names it.
  Task<Result<void>> remove_policy(PolicyId id);

  Task<Result<std::optional<std::string>>> setting(std::string key);
  Task<Result<void>> set_setting(std::string key, std::string value);
  /// The stored value; `value` is stored and answered when there was none.
  Task<Result<std::string>> setting_or_store(std::string key, std::string value);

 private:
  Database& database_;
  Executor& executor_;
  const Clock& clock_;
};

}  // namespace aster::db
