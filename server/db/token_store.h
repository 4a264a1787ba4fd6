#pragma once

#include "server/db/account_store.h"

namespace aster::db {

/// A user's tokens as the user sees them; what proves with them is AccountStore's. Thread-safe; a
/// write is durable when answered.
class TokenStore {
 public:
  TokenStore(Database& database, Executor& executor, const Clock& clock)
      : database_(database), executor_(executor), clock_(clock) {}

  /// conflict when a living token of the user has the name; out_of_resources over `most` of them.
  /// id and time are filled in.
  Task<Result<TokenRow>> create(TokenRow token, uint64_t most);
  /// Living ones, by id.
  Task<Result<RowPage<TokenRow>>> list(UserId user, PageRequest page);
  /// What it was; not_found for another user's and for one that has ended.
  Task<Result<TokenRow>> revoke(UserId user, uint64_t id);

 private:
  Database& database_;
  Executor& executor_;
  const Clock& clock_;
};

}  // namespace aster::db
