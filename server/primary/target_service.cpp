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

}  // namespace

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
  ASTER_CO_TRY(TargetInfo made, co_await follower->client->create_target(std::move(target)));
  co_await note(follower);
  co_return made;
}

Task<ApiResult<TargetInfo>> TargetService::update(NodeId node, std::string key,
                                                  TargetUpdate change) {
  ASTER_CO_TRY(const FollowerRef follower, registry_.reachable(node));
  ASTER_CO_TRY(TargetInfo changed,
               co_await follower->client->update_target(std::move(key), std::move(change)));
  co_await note(follower);
  co_return changed;
}

Task<ApiResult<bool>> TargetService::remove(NodeId node, std::string key) {
  ASTER_CO_TRY(const FollowerRef follower, registry_.reachable(node));
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
