#include "server/primary/workspaces.h"

#include "server/primary/token_scope.h"

namespace aster::primary {
namespace {

/// What the token leaves of a tree that the user may enter.
Result<Caller> narrowed(Caller caller, const Identity& who, std::string_view selector) {
  if (who.scope == nullptr) return caller;
  caller.read_only = caller.read_only || who.scope->read_only;
  if (who.scope->places.empty()) return caller;
  PathScope only;
  for (const TokenScope::Place& place : who.scope->places) {
    if (place.workspace != selector) continue;
    if (place.path.empty()) return caller;
    only.push_back(place.path);
  }
  if (only.empty()) return fail(Errc::forbidden, "the token is for other folders");
  caller.only = std::make_shared<const PathScope>(std::move(only));
  return caller;
}

}  // namespace

Result<void> check_whole_tree(const Caller& caller) {
  if (caller.only == nullptr) return ok();
  return fail(Errc::forbidden,
              "the token is limited to folders: mounts need one that is good for the whole tree");
}

Task<Result<Caller>> Workspaces::enter(Identity who, std::string selector) {
  Caller caller{.user = who.user, .workspace = who.workspace};
  if (selector.empty()) co_return narrowed(std::move(caller), who, selector);
  const auto refusal = fail(Errc::forbidden, "\"" + selector + "\" is no workspace of yours");
  if (!selector.starts_with(kTeamSelector)) co_return refusal;
  const auto found = co_await teams_.membership(who.user, selector.substr(kTeamSelector.size()));
  if (found.failed_with(Errc::not_found)) co_return refusal;
  if (!found.ok()) co_return found.error();
  caller.workspace = found->team.workspace;
  caller.read_only = found->role == db::TeamRole::reader;
  co_return narrowed(std::move(caller), who, selector);
}

Task<Result<Caller>> Workspaces::resume(Identity who, SessionId session) {
  const auto workspace = namespaces_.workspace_of_session(who.user, session);
  if (!workspace) co_return fail(Errc::stale_handle, "the session has ended");
  Caller caller{.user = who.user, .workspace = *workspace, .session = session};
  std::string selector;
  if (*workspace != who.workspace) {
    const auto found = co_await teams_.membership_in(who.user, *workspace);
    if (found.failed_with(Errc::not_found)) {
      co_return fail(Errc::forbidden, "the session's workspace is none of yours any more");
    }
    if (!found.ok()) co_return found.error();
    caller.read_only = found->role == db::TeamRole::reader;
    selector = std::string(kTeamSelector) + found->team.name;
  }
  ASTER_CO_TRY(caller, narrowed(std::move(caller), who, selector));
  if (!namespaces_.touch_session(caller)) {
    co_return fail(Errc::stale_handle, "the session has ended");
  }
  co_return caller;
}

}  // namespace aster::primary
