#pragma once

#include "server/db/account_store.h"
#include "server/db/txn.h"

namespace aster::db {

/// What is read of a row of tokens "t", first in a SELECT.
#define ASTER_TOKEN_COLUMNS                                                              \
  "t.id, t.hash, t.user, t.name, t.scopes, t.created_at, t.expires_at, t.last_used_at, " \
  "t.revoked_at"

/// How many those are: where other columns begin.
inline constexpr int kTokenColumns = 9;

TokenRow read_token(const Query& q);

}  // namespace aster::db
