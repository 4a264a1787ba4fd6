#include "server/db/token_store.h"

#include "protocol/base/clock.h"
#include "server/db/database.h"
#include "server/db/token_row.h"

namespace aster::db {
TokenRow read_token(const Query& q) {
  TokenRow token;
  token.id = q.uint64(0);
  token.hash = q.text(1);
  token.user = UserId(q.uint64(2));
  token.name = q.text(3);
  token.scopes = q.text(4);
  token.created_at = q.int64(5);
  token.expires_at = q.int64(6);
  token.last_used_at = q.int64(7);
  token.revoked_at = q.int64(8);
  return token;
}

Task<Result<TokenRow>> TokenStore::create(TokenRow token, uint64_t most) {
  const int64_t now = clock_.now_seconds();
  token.created_at = now;
  co_return co_await database_.write([&](Txn& txn) -> Result<TokenRow> {
    auto taken = txn.query(
        "SELECT 1 FROM tokens WHERE user = ?1 AND name = ?2 AND revoked_at = 0"
        " AND (expires_at = 0 OR expires_at > ?3)",
        token.user, token.name, now);
    if (taken.next()) return fail(Errc::conflict, "there is a token of this name: " + token.name);
    auto count = txn.query(
        "SELECT count(*) FROM tokens WHERE user = ?1 AND revoked_at = 0"
        " AND (expires_at = 0 OR expires_at > ?2) AND name <> 'login'",
        token.user, now);
    if (count.next() && count.uint64(0) >= most) {
      return fail(Errc::out_of_resources,
                  "at most " + std::to_string(most) + " tokens: revoke some first");
    }
    txn.exec(
        "INSERT INTO tokens(hash, user, name, scopes, created_at, expires_at, last_used_at,"
        " revoked_at) VALUES(?1, ?2, ?3, ?4, ?5, ?6, 0, 0)",
        token.hash, token.user, token.name, token.scopes, token.created_at, token.expires_at);
    token.id = static_cast<uint64_t>(txn.last_insert_id());
    return token;
  });
}

Task<Result<RowPage<TokenRow>>> TokenStore::list(UserId user, PageRequest page) {
  const int64_t now = clock_.now_seconds();
  auto body = [&](Txn& txn) -> Result<RowPage<TokenRow>> {
    RowPage<TokenRow> found;
    auto count = txn.query(
        "SELECT count(*) FROM tokens WHERE user = ?1 AND revoked_at = 0"
        " AND (expires_at = 0 OR expires_at > ?2)",
        user, now);
    if (count.next()) found.total = count.uint64(0);
    auto q = txn.query("SELECT " ASTER_TOKEN_COLUMNS
                       " FROM tokens t"
                       " WHERE user = ?1 AND revoked_at = 0 AND (expires_at = 0 OR expires_at > ?2)"
                       " ORDER BY id LIMIT ?3 OFFSET ?4",
                       user, now, page.limit, page.offset);
    while (q.next()) found.items.push_back(read_token(q));
    return found;
  };
  co_return co_await executor_.run([&] { return database_.read(body); });
}

Task<Result<TokenRow>> TokenStore::revoke(UserId user, uint64_t id) {
  const int64_t now = clock_.now_seconds();
  co_return co_await database_.write([&](Txn& txn) -> Result<TokenRow> {
    auto q = txn.query(
        "SELECT " ASTER_TOKEN_COLUMNS
        " FROM tokens t"
        " WHERE id = ?1 AND user = ?2 AND revoked_at = 0 AND (expires_at = 0 OR expires_at > ?3)",
        id, user, now);
    if (!q.next()) return fail(Errc::not_found, "no token with id " + std::to_string(id));
    const TokenRow token = read_token(q);
    txn.exec("UPDATE tokens SET revoked_at = ?2 WHERE id = ?1", id, now);
    return token;
  });
}

}  // namespace aster::db
