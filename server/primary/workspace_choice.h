#pragma once

#include <optional>
#include <string>

#include "server/db/account_store.h"
#include "server/db/team_store.h"
#include "server/primary/accounts.h"

namespace aster {
class JsonReader;
}

namespace aster::primary {

/// Whose tree an administrator's request is about: at most one of `user_id`, `workspace_id` and
/// `workspace` ("team:NAME").
struct WorkspaceChoice {
  std::optional<uint64_t> user;
  std::optional<uint64_t> workspace;
  std::optional<std::string> selector;

  void read(JsonReader& reader);
  /// How many of them were said.
  int count() const;
};

/// The tree that is meant; the caller's own when nothing was said. bad_request, not_found.
Task<Result<uint64_t>> chosen_workspace(WorkspaceChoice choice, uint64_t own,
                                        db::AccountStore& accounts, db::TeamStore& teams);

}  // namespace aster::primary
