#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "protocol/base/clock.h"
#include "protocol/base/guarded.h"
#include "server/db/account_store.h"
#include "server/primary/login_throttle.h"
#include "server/primary/password_hash.h"
#include "server/primary/token_scope.h"

namespace aster::primary {

class NamespaceService;

/// Who a request comes from, proven by its bearer token.
struct Identity {
  UserId user;
  std::string name;
  db::UserRole role = db::UserRole::user;
  uint64_t workspace = 0;
  std::string token_hash;                   ///< empty: proven in another way
  int64_t expires_at = 0;                   ///< unix seconds, of the token; 0 = never
  uint64_t token = 0;                       ///< id of the token
  std::shared_ptr<const TokenScope> scope;  ///< null: everything that the user may
};

struct LoginAnswer {
  std::string token;  ///< shown once, stored as a hash
  int64_t expires_at = 0;
  db::UserRow user;
};

struct AccountOptions {
  PasswordCost cost;
  size_t hash_threads = 2;  ///< passwords hashed at the same time
  std::chrono::seconds token_lifetime{30 * 86400};
  /// A cached proof is looked up again after this long: revocations by another process.
  std::chrono::seconds recheck{10};
  size_t cached_tokens = 10000;
  LoginThrottle::Options throttle = {};
};

/// What other users may see of an account: 1 to 64 of letters, digits and "._@-", no leading '-'.
Result<void> check_user_name(std::string_view name);

/// Users, logins and bearer tokens. Thread-safe. A revocation by this process holds at once.
class Accounts {
 public:
  /// `namespaces` makes the trees of new users; nullptr leaves that to the server's first look at
  /// them (the command line has no tree service). All outlive the accounts.
  Accounts(AccountOptions options, db::AccountStore& store, NamespaceService* namespaces,
           Executor& executor, const Clock& clock);

  struct NewUser {
    std::string name;
    std::string password;
    db::UserRole role = db::UserRole::user;
    bool only_if_first = false;  ///< precondition_failed when there is any user already
  };
  /// bad_request, conflict.
  Task<Result<db::UserRow>> create_user(NewUser user);
  /// The first administrator, by somebody at `peer` who has proven nothing. As create_user();
  /// precondition_failed when there is any user already, rate_limited.
  Task<Result<db::UserRow>> set_up(NewUser user, std::string peer);

  struct Change {
    std::optional<std::string> password;
    std::optional<db::UserRole> role;
    std::optional<db::UserStatus> status;
    std::optional<uint64_t> quota;  ///< bytes of the user's own tree; 0 = no limit
  };
  Task<Result<db::UserRow>> update_user(UserId id, Change change);

  /// Ends what the user has proved so far: logins and tokens, the sessions of mounts with them.
  Task<Result<void>> end_logins(UserId id);

  /// credentials_failed with one text whatever was wrong; rate_limited while the name or `peer` is
  /// held back.
  Task<Result<LoginAnswer>> login(std::string name, std::string password, std::string peer);
  Task<Result<void>> logout(Identity who);
  /// A random token for `row`, which gets its hash; the row is still to be stored.
  static std::string make_token(db::TokenRow& row);
  /// A token of this hash was revoked in the store.
  void forget_token(const std::string& hash);
  /// Who has this name and password, without a token; refuses and slows down as login() does.
  Task<Result<Identity>> check_password(std::string name, std::string password, std::string peer);
  /// The same for a password of another kind of account, that is kept elsewhere as `hash` (nullopt:
  /// there is no such account). credentials_failed, rate_limited.
  Task<Result<void>> prove(std::string name, std::optional<std::string> hash, std::string password,
                           std::string peer);
  Task<Result<std::string>> hash_password(std::string password);
  /// For accounts that act for a user; token_invalid when that one is gone or disabled.
  Task<Result<Identity>> identity_of(UserId user);
  /// Moves on when a proof that was given before may not hold any more.
  uint64_t revocations() const { return cache_.lock()->revocations; }
  /// Something that proofs of callers of prove() rest on was changed.
  void note_revocation() { cache_.lock()->revocations += 1; }
  /// token_invalid for unknown, expired and revoked tokens and for disabled users.
  Task<Result<Identity>> authenticate(std::string token);
  /// The same from memory alone; nullopt when the store has to be asked.
  std::optional<Identity> cached(const std::string& token) const;

 private:
  struct Proof {
    Identity identity;
    SteadyTime recheck_at;
  };

  Task<Result<db::UserRow>> user_with(std::string name, std::string password, std::string peer);
  /// rate_limited while `name` or `peer` is held back; `subject` is who is named in the log.
  Task<Result<void>> begin_try(const std::string& name, const std::string& peer,
                               std::string subject);
  Task<void> note(UserId actor, std::string action, std::string subject, std::string detail);
  Task<Result<Identity>> as_identity(db::UserRow user);
  Task<Result<uint64_t>> workspace_of(db::UserRow user);
  Task<Result<Identity>> look_up(std::string hash);
  void forget(UserId user);

  const AccountOptions options_;
  db::AccountStore& store_;
  NamespaceService* const namespaces_;
  Executor& executor_;
  const Clock& clock_;
  PasswordHasher hasher_;
  LoginThrottle throttle_;
  AsyncMutex making_workspace_;
  struct Cache {
    std::unordered_map<std::string, Proof> proofs;  ///< by token hash
    uint64_t revocations = 0;  ///< a look-up that saw the store before one of them is not kept
  };
  Guarded<Cache> cache_;
};

}  // namespace aster::primary
