#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/api_error.h"
#include "protocol/base/executor.h"
#include "protocol/base/guarded.h"
#include "server/db/policy_store.h"
#include "server/primary/object_backend.h"

namespace aster::primary {

class FollowerRegistry;
class S3Storage;

enum class Driver { local, remote, s3 };

/// A policy as data paths need it; immutable.
struct Policy {
  PolicyId id;
  std::string name;
  Driver driver = Driver::local;
  std::string base_path;  ///< normalised key prefix; empty = none
  NodeId node;            ///< remote
  std::string target_key;
  db::BucketAccess s3;
  uint64_t max_file_size = 0;  ///< as sent to followers, 0 = no limit
  PolicyLimits limits;
  bool presigned_upload = false;
  bool presigned_download = false;
  bool is_default = false;
};

/// Storage policies: checked on the way in, kept in memory for the data paths. Thread-safe.
class Policies {
 public:
  /// `registry` judges nodes, `s3` buckets; all must outlive this.
  Policies(db::PolicyStore& store, FollowerRegistry& registry, S3Storage& s3, Executor& executor)
      : store_(store), registry_(registry), s3_(s3), changing_(executor) {}

  /// Reads the stored policies; before anything else.
  Task<Result<void>> load();

  /// Makes or changes one from the JSON body of the admin API. A remote policy needs an enabled,
  /// enrolled node that can be reached and has what the strategies need (412 names what is
  /// missing), an s3 policy a bucket that can be listed and written (412 with what it says).
  Task<ApiResult<db::PolicyRow>> create(std::string body);
  Task<ApiResult<db::PolicyRow>> update(PolicyId id, std::string body);
  /// The policy that such a body would make, judged as by create() but not stored; it needs no
  /// name. A bucket was tried.
  Task<ApiResult<Policy>> judge(std::string body) const;
  Task<ApiResult<db::PolicyRow>> set_default(PolicyId id);
  Task<Result<void>> remove(PolicyId id);

  /// not_found.
  Result<std::shared_ptr<const Policy>> find(PolicyId id) const;
  /// precondition_failed when there is none.
  Result<std::shared_ptr<const Policy>> default_policy() const;
  Result<db::PolicyRow> row(PolicyId id) const;
  std::vector<db::PolicyRow> rows() const;

 private:
  struct Entry {
    db::PolicyRow row;
    std::shared_ptr<const Policy> policy;
  };
  ApiResult<bool> check_node(const db::PolicyRow& row) const;
  Task<ApiResult<bool>> check_bucket(const db::PolicyRow& row) const;

  db::PolicyStore& store_;
  FollowerRegistry& registry_;
  S3Storage& s3_;
  AsyncMutex changing_;  ///< held from a change in the store until memory has it
  Guarded<std::map<PolicyId, Entry>> entries_;
};

}  // namespace aster::primary
