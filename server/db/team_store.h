#pragma once

#include "server/db/account_store.h"

namespace aster::db {

/// Each may do what the ones before it may.
enum class TeamRole { reader, member, manager, owner };
std::string_view to_string(TeamRole role) noexcept;
/// "admin", which other programs say, is a manager. bad_request for any other word.
Result<TeamRole> parse_team_role(std::string_view word);

/// All times of these rows are unix seconds.
struct TeamRow {
  uint64_t id = 0;
  std::string name;  ///< unique, also among archived ones; never changes
  std::string description;
  uint64_t workspace = 0;
  int64_t created_at = 0;
  int64_t updated_at = 0;
  int64_t archived_at = 0;  ///< 0 = not: nobody enters an archived one
};

/// nullopt = keep.
struct TeamChange {
  std::optional<std::string> description;
  std::optional<bool> archived;
};

struct MemberRow {
  UserId user;
  std::string user_name;
  TeamRole role = TeamRole::reader;
  int64_t added_at = 0;
};

/// A living team as one of its members sees it.
struct Membership {
  TeamRow team;
  TeamRole role = TeamRole::reader;
};

/// Teams and who is in them. Thread-safe; a write is durable when answered.
class TeamStore {
 public:
  TeamStore(Database& database, Executor& executor, const Clock& clock)
      : database_(database), executor_(executor), clock_(clock) {}

  /// conflict when the name is taken. id and times are filled in.
  Task<Result<TeamRow>> create(TeamRow team, UserId owner);
  /// not_found.
  Task<Result<TeamRow>> find(uint64_t id);
  Task<Result<TeamRow>> find_by_name(std::string name);
  /// By name, archived ones too.
  Task<Result<RowPage<TeamRow>>> list(PageRequest page);
  Task<Result<TeamRow>> update(uint64_t id, TeamChange change);

  /// The living teams of a user, by name.
  Task<Result<std::vector<Membership>>> of_user(UserId user);
  /// not_found for who is not in it, and for archived ones.
  Task<Result<Membership>> membership(UserId user, std::string team);
  Task<Result<Membership>> membership_in(UserId user, uint64_t workspace);

  /// By name.
  Task<Result<std::vector<MemberRow>>> members(uint64_t team);
  /// Adds a user or changes the role. not_found for unknown users; precondition_failed when no
  /// owner would be left.
  Task<Result<MemberRow>> put_member(uint64_t team, UserId user, TeamRole role);
  /// not_found; precondition_failed when no owner would be left.
  Task<Result<MemberRow>> remove_member(uint64_t team, UserId user);

  Task<Result<AccountStore::Storage>> storage(uint64_t workspace);
  Task<Result<void>> set_quota(uint64_t workspace, uint64_t bytes);

 private:
  Database& database_;
  Executor& executor_;
  const Clock& clock_;
};

class Txn;

/// Takes an archived team, and the WebDAV accounts for its tree, out of the database; the tree
/// itself stays. not_found; precondition_failed for one that is not archived.
Result<TeamRow> remove_archived_team(Txn& txn, uint64_t id);

}  // namespace aster::db
