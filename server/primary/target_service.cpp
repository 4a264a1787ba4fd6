#include "server/primary/target_service.h"

#include "protocol/base/log.h"

namespace aster::primary {
namespace {

std::vector<db::TargetRow> rows_of(const std::vector<TargetInfo>& targets) {
  std::vector<db::TargetRow> rows;
  for (const TargetInfo& target : targets) {
    rows.push_back({.key = target.target_key, .info = to_json(target)});
  }
  return rows;
}

constexpr const char* kWayOut =
    "; make a policy for the other place and move the data there (aster policy migrate)";

/// The policy that has objects on the target, or null.
const db::NodeUse* holder(const std::vector<db::NodeUse>& uses, const TargetInfo& target) {
  for (const db::NodeUse& use : uses) {
    const bool here =
        use.target_key.empty() ? target.is_default : use.target_key == target.target_key;
    if (here && use.holds_objects) return &use;
  }
  return nullptr;
}

/// Policies that name no target follow the default, their objects do not.
Result<void> check_new_default(const std::vector<TargetInfo>& targets,
                               const std::vector<db::NodeUse>& uses, const std::string& key) {
  for (const TargetInfo& target : targets) {
    if (!target.is_default || target.target_key == key) continue;
    for (const db::NodeUse& use : uses) {
      if (!use.target_key.empty() || !use.holds_objects) continue;
      return fail(Errc::precondition_failed,
                  "policy " + use.policy + " has objects on the default target " + target.name +
                      " and names no target, so that another default would part them" + kWayOut);
    }
  }
  return ok();
}

bool moves(const TargetInfo& target, const TargetUpdate& change) {
  return change.base_path.value_or(target.base_path) != target.base_path ||
         change.bucket.value_or(target.bucket) != target.bucket ||
         change.driver_type.value_or(target.driver_type) != target.driver_type;
}

Result<void> check_place(const std::vector<db::NodeUse>& uses, const TargetInfo& target,
                         const TargetUpdate& change) {
  const db::NodeUse* use = moves(target, change) ? holder(uses, target) : nullptr;
  if (use == nullptr) return ok();
  return fail(Errc::precondition_failed,
              "policy " + use->policy + " has objects on target " + target.name +
                  ", whose path, bucket and driver stay as they are" + kWayOut);
}

Result<void> check_removal(const std::vector<db::NodeUse>& uses, const TargetInfo& target) {
  if (const db::NodeUse* use = holder(uses, target)) {
    return fail(Errc::precondition_failed,
                "policy " + use->policy + " has objects on target " + target.name);
  }
  for (const db::NodeUse& use : uses) {
    if (use.target_key != target.target_key) continue;
    return fail(Errc::precondition_failed,
                "target " + target.name + " is used by the storage policy " + use.policy);
  }
  return ok();
}

/// Null: it is for the follower to say that there is no such target.
const TargetInfo* find_target(const std::vector<TargetInfo>& targets, const std::string& key) {
  for (const TargetInfo& target : targets) {
    if (target.target_key == key) return &target;
  }
  return nullptr;
}

}  // namespace

Task<ApiResult<TargetService::Present>> TargetService::present(NodeId node) {
  Present found;
  ASTER_CO_TRY(found.targets, co_await list(node));
  ASTER_CO_TRY(found.uses, co_await store_.uses(node));
  co_return found;
}

Task<ApiResult<std::vector<TargetInfo>>> TargetService::list(NodeId node) {
  ASTER_CO_TRY(const FollowerRef follower, registry_.reachable(node));
  ASTER_CO_TRY(std::vector<TargetInfo> found, co_await follower->client->list_targets());
  const Result<void> stored = co_await store_.store_targets(node, rows_of(found));
  if (!stored.ok()) ASTER_LOG(warn, "targets_not_stored", {"err", stored.error()});
  co_return found;
}

Task<ApiResult<TargetInfo>> TargetService::create(NodeId node, TargetCreate target) {
  ASTER_CO_TRY(const FollowerRef follower, registry_.reachable(node));
  if (follower->capabilities && !follower->capabilities->takes_target_driver(target.driver_type)) {
    co_return ApiError(
        ApiCode::precondition_failed,
        "node " + follower->row.name + " takes no targets with driver " + target.driver_type);
  }
  if (target.is_default) {
    ASTER_CO_TRY(const Present now, co_await present(node));
    ASTER_CO_TRY(check_new_default(now.targets, now.uses, {}));
  }
  ASTER_CO_TRY(TargetInfo made, co_await follower->client->create_target(std::move(target)));
  co_await note(follower);
  co_return made;
}

Task<ApiResult<TargetInfo>> TargetService::update(NodeId node, std::string key,
                                                  TargetUpdate change) {
  ASTER_CO_TRY(const FollowerRef follower, registry_.reachable(node));
  ASTER_CO_TRY(const Present now, co_await present(node));
  if (const TargetInfo* target = find_target(now.targets, key)) {
    ASTER_CO_TRY(check_place(now.uses, *target, change));
    if (change.is_default.value_or(false)) {
      ASTER_CO_TRY(check_new_default(now.targets, now.uses, key));
    }
  }
  ASTER_CO_TRY(TargetInfo changed,
               co_await follower->client->update_target(std::move(key), std::move(change)));
  co_await note(follower);
  co_return changed;
}

Task<ApiResult<bool>> TargetService::remove(NodeId node, std::string key) {
  ASTER_CO_TRY(const FollowerRef follower, registry_.reachable(node));
  ASTER_CO_TRY(const Present now, co_await present(node));
  if (const TargetInfo* target = find_target(now.targets, key)) {
    ASTER_CO_TRY(check_removal(now.uses, *target));
  }
  ASTER_CO_TRY(co_await follower->client->delete_target(std::move(key)));
  co_await note(follower);
  co_return true;
}

ApiResult<std::vector<std::string>> TargetService::drivers(NodeId node) const {
  ASTER_TRY(const FollowerRef follower, registry_.reachable(node));
  std::vector<std::string> found;
  for (const char* driver : {"local", "s3"}) {
    if (follower->capabilities && follower->capabilities->takes_target_driver(driver)) {
      found.emplace_back(driver);
    }
  }
  return found;
}

Task<void> TargetService::note(FollowerRef follower) {
  const ApiResult<std::vector<TargetInfo>> seen = co_await list(follower->row.id);
  if (!seen.ok()) ASTER_LOG(debug, "targets_not_seen", {"err", seen.error().to_error()});
}

}  // namespace aster::primary
