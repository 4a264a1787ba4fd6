#pragma once

#include <map>
#include <memory>

#include "protocol/base/executor.h"
#include "protocol/base/guarded.h"
#include "protocol/client/http_client.h"
#include "server/primary/policies.h"
#include "server/storage/s3_setup.h"

namespace aster::primary {

/// The buckets of policies with driver s3. Thread-safe. The destructor waits for what goes on in
/// the background.
class S3Storage {
 public:
  /// Both must outlive this and every task of its targets.
  S3Storage(HttpClient& http, Executor& executor) : http_(http), executor_(executor) {}

  /// The bucket of a stored policy; asks nobody. The same one until the policy changes: a target
  /// knows things about its bucket.
  Result<std::shared_ptr<storage::S3Target>> open(const Policy& policy);
  /// Whether the bucket of a policy, stored or not, can be listed and written; takes at most some
  /// seconds. The service's own words when not.
  Task<Result<void>> check(const Policy& policy);
  /// Asks the bucket of a stored policy whether it answers now, for trouble().
  Task<void> probe(const Policy& policy);
  /// What the last probe met; empty: nothing, or there was none since the policy changed.
  std::string trouble(PolicyId policy) const;
  /// Removes what uploads of a dead process left in the buckets. For the start, before anything is
  /// served; takes at most some seconds.
  Task<void> remove_leftovers(const Policies& policies);

 private:
  struct Kept {
    db::BucketAccess access;
    std::string prefix;
    std::shared_ptr<storage::S3Target> target;
    std::string trouble;
  };
  storage::S3Services services() { return {http_, executor_, tasks_, memory_}; }

  HttpClient& http_;
  Executor& executor_;
  Guarded<std::map<PolicyId, Kept>> kept_;
  AsyncBudget memory_{executor_, storage::kS3UploadMemory};
  storage::TaskGroup tasks_;
};

}  // namespace aster::primary
