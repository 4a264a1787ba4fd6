#include "server/primary/s3_storage.h"

#include "protocol/base/log.h"

namespace aster::primary {
namespace {

constexpr const char* kObjectFolder = "files";

Result<std::shared_ptr<storage::S3Target>> make_target(const Policy& policy,
                                                       storage::S3Services services) {
  return storage::S3Target::open({.endpoint = policy.s3.endpoint,
                                  .bucket = policy.s3.bucket,
                                  .access_key = policy.s3.access_key,
                                  .secret_key = policy.s3.secret_key,
                                  .prefix = policy.base_path},
                                 services);
}

}  // namespace

Result<std::shared_ptr<storage::S3Target>> S3Storage::open(const Policy& policy) {
  auto kept = kept_.lock();
  Kept& entry = (*kept)[policy.id];
  if (!entry.target || entry.access != policy.s3 || entry.prefix != policy.base_path) {
    ASTER_TRY(entry.target, make_target(policy, services()));
    entry.access = policy.s3;
    entry.prefix = policy.base_path;
    entry.trouble.clear();
  }
  return entry.target;
}

Task<Result<void>> S3Storage::check(const Policy& policy) {
  ASTER_CO_TRY(std::shared_ptr<storage::S3Target> target, make_target(policy, services()));
  Result<void> outcome = co_await storage::check_s3_target(std::move(target), services());
  co_return outcome;
}

Task<void> S3Storage::probe(const Policy& policy) {
  const PolicyId id = policy.id;
  const Result<std::shared_ptr<storage::S3Target>> target = open(policy);
  if (!target.ok()) co_return;  // whoever uses the policy is told
  const Result<void> reached = co_await storage::reach_s3_target(*target, services());
  auto kept = kept_.lock();
  const auto found = kept->find(id);
  if (found == kept->end() || found->second.target != *target) co_return;
  std::string trouble = reached.ok() ? "" : reached.error().context;
  const bool changed = trouble.empty() != found->second.trouble.empty();
  found->second.trouble = std::move(trouble);
  if (!changed) co_return;
  if (reached.ok()) {
    ASTER_LOG(info, "bucket_answers_again", {"policy", id.value});
  } else {
    ASTER_LOG(warn, "bucket_unusable", {"policy", id.value}, {"err", reached.error()});
  }
}

std::string S3Storage::trouble(PolicyId policy) const {
  auto kept = kept_.lock();
  const auto found = kept->find(policy);
  return found == kept->end() ? std::string() : found->second.trouble;
}

Task<void> S3Storage::remove_leftovers(const Policies& policies) {
  std::vector<storage::S3Leftovers> places;
  for (const db::PolicyRow& row : policies.rows()) {
    if (row.driver != "s3") continue;
    const auto policy = policies.find(row.id);
    if (!policy.ok()) continue;
    auto target = open(**policy);
    if (target.ok()) places.push_back({std::move(*target), kObjectFolder});
  }
  co_await storage::remove_s3_leftovers(std::move(places), services());
}

}  // namespace aster::primary
