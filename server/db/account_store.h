#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/ids.h"
#include "protocol/base/task.h"

namespace aster {
class Clock;
class Executor;
}  // namespace aster

namespace aster::db {

class Database;
class Txn;

enum class UserRole { user, admin };
enum class UserStatus { active, disabled };
std::string_view to_string(UserRole role) noexcept;
std::string_view to_string(UserStatus status) noexcept;
/// bad_request for any other word.
Result<UserRole> parse_user_role(std::string_view word);
Result<UserStatus> parse_user_status(std::string_view word);

/// All times of these rows are unix seconds.
struct UserRow {
  UserId id;
  std::string name;           ///< unique
  std::string password_hash;  ///< argon2id, encoded; never leaves the server
  UserRole role = UserRole::user;
  UserStatus status = UserStatus::active;
  uint64_t workspace = 0;  ///< 0 = not made yet
  int64_t created_at = 0;
  int64_t updated_at = 0;
};

/// nullopt = keep.
struct UserChange {
  std::optional<std::string> password_hash;
  std::optional<UserRole> role;
  std::optional<UserStatus> status;
  std::optional<uint64_t> workspace;
};

struct TokenRow {
  uint64_t id = 0;
  std::string hash;  ///< SHA-256 of the token, hex
  UserId user;
  std::string name;    ///< for lists, e.g. "login"
  std::string scopes;  ///< what it is limited to, as JSON; empty = everything the user may
  int64_t created_at = 0;
  int64_t expires_at = 0;    ///< 0 = never
  int64_t last_used_at = 0;  ///< 0 = never
  int64_t revoked_at = 0;    ///< 0 = not
};

/// A token with its user, as one look-up gives them.
struct TokenOwner {
  TokenRow token;
  UserRow user;
};

/// One administrative or security event.
struct AuditRow {
  int64_t at = 0;
  UserId actor;            ///< 0 = the command line, or nobody who is known
  std::string actor_name;  ///< empty with it
  std::string action;
  std::string subject;
  std::string detail;
};

/// Part of a list, and how many there are in all.
template <class T>
struct RowPage {
  std::vector<T> items;
  uint64_t total = 0;
};
struct PageRequest {
  uint64_t limit = 50;
  uint64_t offset = 0;
};

/// Which users a list has.
struct UserFilter {
  std::string keyword;  ///< somewhere in the name, in letters of any case; empty = all
  std::optional<UserRole> role;
  std::optional<UserStatus> status;
};

/// Users, their bearer tokens, the log of administrators' actions. Thread-safe; a write is durable
/// when answered. The awaiting coroutine goes on on a thread of the executor.
class AccountStore {
 public:
  AccountStore(Database& database, Executor& executor, const Clock& clock);

  /// conflict when the name is taken; precondition_failed with `only_if_first` when there is any
  /// user already. id and times are filled in.
  Task<Result<UserRow>> create_user(UserRow user, bool only_if_first);
  /// not_found.
  Task<Result<UserRow>> user(UserId id);
  Task<Result<UserRow>> user_by_name(std::string name);
  /// By id.
  Task<Result<RowPage<UserRow>>> list_users(PageRequest page) {
    return list_users(page, UserFilter());
  }
  Task<Result<RowPage<UserRow>>> list_users(PageRequest page, UserFilter filter);
  /// Disabling or demoting the last active administrator is precondition_failed. A new password or
  /// status `disabled` revokes the user's tokens in the same transaction.
  Task<Result<UserRow>> update_user(UserId id, UserChange change);

  /// What the user's own tree covers and may cover; zeros while there is none.
  struct Storage {
    uint64_t used = 0;
    uint64_t quota = 0;  ///< 0 = no limit
  };
  Task<Result<Storage>> storage(UserId id);
  /// Of the user's tree, which must be there.
  Task<Result<void>> set_quota(UserId id, uint64_t bytes);

  Task<Result<TokenRow>> create_token(TokenRow token);
  /// not_found; also answers revoked and expired tokens: the caller judges.
  Task<Result<TokenOwner>> token(std::string hash);
  Task<Result<void>> revoke_token(std::string hash);
  /// All of the user's.
  Task<Result<void>> revoke_tokens(UserId user);
  /// Best effort note of use.
  Task<Result<void>> touch_token(uint64_t id);
  /// Drops tokens that ended more than `keep` seconds ago.
  Task<Result<void>> purge_tokens(int64_t keep);

  Task<Result<void>> audit(UserId actor, std::string action, std::string subject,
                           std::string detail = {});
  /// Newest first.
  Task<Result<RowPage<AuditRow>>> list_audit(PageRequest page);

 private:
  Database& database_;
  Executor& executor_;
  const Clock& clock_;
};

/// Removes an account with its tokens, WebDAV accounts, memberships and policy group, but not its
/// tree. precondition_failed for the last active administrator, the last owner of a team and,
/// unless `with_files`, while there is anything in the tree.
Result<UserRow> remove_user(Txn& txn, UserId id, bool with_files);

}  // namespace aster::db
