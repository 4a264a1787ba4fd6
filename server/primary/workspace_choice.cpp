#include "server/primary/workspace_choice.h"

#include "server/primary/token_scope.h"

#include "protocol/json_reader.h"

namespace aster::primary {
namespace {}  // namespace

void WorkspaceChoice::read(JsonReader& reader) {
  reader.optional("user_id", user);
  reader.optional("workspace_id", workspace);
  reader.optional("workspace", selector);
}

int WorkspaceChoice::count() const {
  return int{user.has_value()} + int{workspace.has_value()} + int{selector.has_value()};
}

Task<Result<uint64_t>> chosen_workspace(WorkspaceChoice choice, uint64_t own,
                                        db::AccountStore& accounts, db::TeamStore& teams) {
  if (choice.count() > 1) {
    co_return fail(Errc::bad_request, "only one of user_id, workspace_id and workspace");
  }
  if (choice.workspace) co_return *choice.workspace;
  if (choice.selector) {
    if (!choice.selector->starts_with(kTeamSelector)) {
      co_return fail(Errc::bad_request, "workspace is \"team:NAME\"");
    }
    std::string name = choice.selector->substr(kTeamSelector.size());
    ASTER_CO_TRY(const db::TeamRow team, co_await teams.find_by_name(std::move(name)));
    co_return team.workspace;
  }
  if (!choice.user) co_return own;
  ASTER_CO_TRY(const db::UserRow row, co_await accounts.user(UserId(*choice.user)));
  if (row.workspace == 0) co_return fail(Errc::not_found, row.name + " has no files yet");
  co_return row.workspace;
}

}  // namespace aster::primary
