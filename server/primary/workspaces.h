#pragma once

#include <string>

#include "server/primary/teams.h"

namespace aster::primary {

/// Which trees a proven caller may enter, and how: the one place that turns an identity into the
/// Caller of a namespace operation. Thread-safe; outlives its tasks.
class Workspaces {
 public:
  Workspaces(Teams& teams, NamespaceService& namespaces) : teams_(teams), namespaces_(namespaces) {}

  /// `selector`: empty for the user's own tree, "team:NAME" for that of a team, which readers may
  /// only read. forbidden, with one text for teams of others and those that are not there.
  Task<Result<Caller>> enter(Identity who, std::string selector);
  /// The tree of a mounted client's session, which is renewed. stale_handle when it is not this
  /// user's or has ended; forbidden.
  Task<Result<Caller>> resume(Identity who, SessionId session);

 private:
  Teams& teams_;
  NamespaceService& namespaces_;
};

/// forbidden for a caller that is limited to folders: inodes have no paths.
Result<void> check_whole_tree(const Caller& caller);

}  // namespace aster::primary
