#pragma once

#include <string>
#include <vector>

#include "protocol/messages.h"
#include "server/primary/follower_registry.h"

namespace aster::primary {

/// The storage targets of followers, managed there in each one's own dialect; what was seen last is
/// stored. 412 while a node is not enrolled or has no base URL, and for what would make stored
/// objects be looked for in another place. Thread-safe.
class TargetService {
 public:
  TargetService(FollowerRegistry& registry, db::NodeStore& store)
      : registry_(registry), store_(store) {}

  /// As they are at the follower now.
  Task<ApiResult<std::vector<TargetInfo>>> list(NodeId node);
  /// precondition_failed when the follower does not take the driver, or when a new default would
  /// take policies that name no target away from their objects.
  Task<ApiResult<TargetInfo>> create(NodeId node, TargetCreate target);
  /// precondition_failed likewise, and for another path, bucket or driver under stored objects. The
  /// endpoint may change: that is how a storage is followed to a new address.
  Task<ApiResult<TargetInfo>> update(NodeId node, std::string key, TargetUpdate change);
  /// precondition_failed while a policy names the target or has objects there.
  Task<ApiResult<bool>> remove(NodeId node, std::string key);
  /// Drivers that a target of this node may have.
  ApiResult<std::vector<std::string>> drivers(NodeId node) const;

 private:
  /// What a change of targets has to respect.
  struct Present {
    std::vector<TargetInfo> targets;
    std::vector<db::NodeUse> uses;
  };
  Task<ApiResult<Present>> present(NodeId node);
  /// Stores what the follower has now; best effort.
  Task<void> note(FollowerRef follower);

  FollowerRegistry& registry_;
  db::NodeStore& store_;
};

}  // namespace aster::primary
