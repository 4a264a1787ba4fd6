#pragma once

#include <map>
#include <memory>

#include "protocol/base/clock.h"
#include "protocol/base/guarded.h"
#include "server/primary/object_driver.h"
#include "server/primary/policies.h"
#include "server/primary/policy_groups.h"
#include "server/primary/relay_urls.h"
#include "server/storage/ingress_target.h"

namespace aster::primary {

/// Lifetime of every URL handed out, seconds: long enough for a client to keep a manifest in use.
inline constexpr int64_t kUrlLifetime = 6 * 3600;

/// ObjectBackends over the stored policies: picks the driver, signs URLs or relay paths. All
/// handed in must outlive it; `local` may be null (no local policies then).
class PolicyBackends final : public ObjectBackends {
 public:
  PolicyBackends(Policies& policies, PolicyGroups& groups, FollowerRegistry& registry,
                 RelayUrls& relay, S3Storage& s3, std::shared_ptr<storage::IngressTarget> local,
                 Executor& executor, const Clock& clock)
      : policies_(policies),
        groups_(groups),
        registry_(registry),
        relay_(relay),
        s3_(s3),
        local_(std::move(local)),
        executor_(executor),
        clock_(clock) {}

  Result<PolicyId> route(const RouteRequest& request) override;
  Result<PolicyLimits> limits(PolicyId policy) override;
  Result<ObjectUrl> upload_url(PolicyId policy, const ObjectId& object) override;
  Result<ObjectUrl> read_url(PolicyId policy, const ObjectId& object) override;
  Result<Capacity> capacity(PolicyId policy) override;
  std::vector<Place> places() override;
  Task<Result<uint64_t>> stat(PolicyId policy, ObjectId object) override;
  Task<Result<void>> remove(PolicyId policy, ObjectId object) override;
  Task<std::vector<Result<void>>> remove_many(PolicyId policy,
                                              std::vector<ObjectId> objects) override;
  Task<Result<Bytes>> read(PolicyId policy, ObjectId object, uint64_t size) override;
  Task<Result<Bytes>> read_range(PolicyId policy, ObjectId object, uint64_t offset,
                                 uint64_t length) override;
  Task<Result<void>> write(PolicyId policy, ObjectId object, Bytes bytes) override;
  Task<Result<Composed>> compose(PolicyId policy, ObjectId target, std::vector<ObjectId> parts,
                                 uint64_t expected_size) override;
  bool joins_pieces(PolicyId policy) override;
  Task<Result<uint64_t>> join_pieces(PolicyId policy, ObjectId target,
                                     std::vector<Piece> pieces) override;

  /// What moves and manages the objects of a policy; precondition_failed says why it cannot now
  /// (disabled node ...), not_found when there is no such policy.
  Result<std::shared_ptr<ObjectDriver>> driver(PolicyId policy) const;
  /// The same of a policy that need not be stored; a bucket is kept open under the policy's id.
  Result<std::shared_ptr<ObjectDriver>> driver_of(const Policy& policy) const;
  /// Asks every policy's storage for its capacity; what is unknown afterwards stays unsupported.
  /// Buckets are asked whether they answer, for places().
  Task<void> refresh_capacities();
  /// The same for one; the fresh figure.
  Task<Result<Capacity>> refresh_capacity(PolicyId policy);

 private:
  Task<Result<Bytes>> read_body(const ObjectBody& body, uint64_t length);
  Result<std::shared_ptr<ObjectDriver>> local_driver(const Policy& policy) const;
  Result<std::shared_ptr<ObjectDriver>> s3_driver(const Policy& policy) const;
  Result<std::shared_ptr<ObjectDriver>> remote_driver(const Policy& policy) const;
  Result<ObjectUrl> url_for(std::string method, PolicyId policy, const ObjectId& object) const;

  Policies& policies_;
  PolicyGroups& groups_;
  FollowerRegistry& registry_;
  RelayUrls& relay_;
  S3Storage& s3_;
  const std::shared_ptr<storage::IngressTarget> local_;
  Executor& executor_;
  const Clock& clock_;
  Guarded<std::map<PolicyId, Capacity>> capacities_;
};

}  // namespace aster::primary
