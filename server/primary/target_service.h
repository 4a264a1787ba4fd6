#pragma once

#include <string>
#include <vector>

#include "protocol/messages.h"
#include "server/primary/follower_registry.h"

namespace aster::primary {

/// The storage targets of followers, managed there in each one's own dialect; what was seen last is
/// stored. 412 while a node is not enrolled or has no base URL. Thread-safe.
class TargetService {
 public:
  TargetService(FollowerRegistry& registry, db::NodeStore& store)
      : registry_(registry), store_(store) {}

  /// As they are at the follower now.
  Task<ApiResult<std::vector<TargetInfo>>> list(NodeId node);
  /// precondition_failed when the follower does not take the driver.
  Task<ApiResult<TargetInfo>> create(NodeId node, TargetCreate target);
  Task<ApiResult<TargetInfo>> update(NodeId node, std::string key, TargetUpdate change);
  Task<ApiResult<bool>> remove(NodeId node, std::string key);
  /// Drivers that a target of this node may have.
  ApiResult<std::vector<std::string>> drivers(NodeId node) const;

 private:
  /// Stores what the follower has now; best effort.
  Task<void> note(FollowerRef follower);

  FollowerRegistry& registry_;
  db::NodeStore& store_;
};

}  // namespace aster::primary
