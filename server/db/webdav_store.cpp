#include "server/db/webdav_store.h"

#include "protocol/base/clock.h"
#include "protocol/http_text.h"
#include "server/db/database.h"

namespace aster::db {
namespace {

WebdavAccountRow read_account(const Query& q) {
  WebdavAccountRow row;
  row.id = q.uint64(0);
  row.user = UserId(q.uint64(1));
  row.name = q.text(2);
  row.password_hash = q.text(3);
  row.root = InodeNo(q.uint64(4));
  row.root_path = q.text(5);
  row.read_only = q.int64(6) != 0;
  row.active = q.int64(7) != 0;
  row.created_at = q.int64(8);
  row.updated_at = q.int64(9);
  row.workspace = q.text(10);
  return row;
}

std::string joined(const std::vector<InodeNo>& inodes) {
  std::string out;
  for (const InodeNo ino : inodes) out += (out.empty() ? "" : " ") + std::to_string(ino.value);
  return out;
}

std::vector<InodeNo> split(std::string_view text) {
  std::vector<InodeNo> out;
  while (!text.empty()) {
    const size_t blank = std::min(text.find(' '), text.size());
    out.emplace_back(parse_decimal<uint64_t>(text.substr(0, blank)).value_or(0));
    text.remove_prefix(std::min(blank + 1, text.size()));
  }
  return out;
}

WebdavLockRow read_lock(const Query& q) {
  WebdavLockRow row;
  row.token = q.text(0);
  row.workspace = q.uint64(1);
  row.ino = InodeNo(q.uint64(2));
  row.above = split(q.view(3));
  row.shared = q.int64(4) != 0;
  row.deep = q.int64(5) != 0;
  row.path = q.text(6);
  row.owner = q.text(7);
  row.principal = q.text(8);
  row.timeout = q.int64(9);
  row.expires_at = q.int64(10);
  return row;
}

}  // namespace

Task<Result<WebdavAccountRow>> WebdavStore::create_account(WebdavAccountRow account) {
  account.created_at = account.updated_at = clock_.now_seconds();
  co_return co_await database_.write([&](Txn& txn) -> Result<WebdavAccountRow> {
    const bool taken =
        txn.query("SELECT 1 FROM webdav_accounts WHERE name = ?1", account.name).next() ||
        txn.query("SELECT 1 FROM users WHERE name = ?1", account.name).next();
    if (taken) return fail(Errc::conflict, "the account name is taken: " + account.name);
    txn.exec(
        "INSERT INTO webdav_accounts(user, name, password_hash, root, root_path, read_only,"
        " active, created_at, updated_at, workspace)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9)",
        account.user, account.name, account.password_hash, account.root, account.root_path,
        account.read_only, account.active, account.created_at, account.workspace);
    account.id = static_cast<uint64_t>(txn.last_insert_id());
    return account;
  });
}

Task<Result<WebdavAccountRow>> WebdavStore::account_by_name(std::string name) {
  auto body = [&](Txn& txn) -> Result<WebdavAccountRow> {
    auto q = txn.query(
        "SELECT id, user, name, password_hash, root, root_path, read_only, active, created_at,"
        " updated_at, workspace FROM webdav_accounts WHERE name = ?1",
        name);
    if (!q.next()) return fail(Errc::not_found, "no WebDAV account " + name);
    return read_account(q);
  };
  co_return co_await executor_.run([&] { return database_.read(body); });
}

Task<Result<RowPage<WebdavAccountRow>>> WebdavStore::list_accounts(UserId user, PageRequest page) {
  auto body = [&](Txn& txn) -> Result<RowPage<WebdavAccountRow>> {
    RowPage<WebdavAccountRow> found;
    auto count = txn.query("SELECT count(*) FROM webdav_accounts WHERE user = ?1", user);
    if (count.next()) found.total = count.uint64(0);
    auto q = txn.query(
        "SELECT id, user, name, password_hash, root, root_path, read_only, active, created_at,"
        " updated_at, workspace FROM webdav_accounts WHERE user = ?1 ORDER BY id LIMIT ?2 OFFSET "
        "?3",
        user, page.limit, page.offset);
    while (q.next()) found.items.push_back(read_account(q));
    return found;
  };
  co_return co_await executor_.run([&] { return database_.read(body); });
}

Task<Result<void>> WebdavStore::remove_account(UserId user, uint64_t id) {
  co_return co_await database_.write([&](Txn& txn) -> Result<void> {
    const auto n = txn.exec("DELETE FROM webdav_accounts WHERE id = ?1 AND user = ?2", id, user);
    if (n == 0) return fail(Errc::not_found, "no WebDAV account with id " + std::to_string(id));
    return ok();
  });
}

Task<Result<WebdavAccountRow>> WebdavStore::toggle_account(UserId user, uint64_t id) {
  const int64_t now = clock_.now_seconds();
  co_return co_await database_.write([&](Txn& txn) -> Result<WebdavAccountRow> {
    txn.exec(
        "UPDATE webdav_accounts SET active = 1 - active, updated_at = ?3"
        " WHERE id = ?1 AND user = ?2",
        id, user, now);
    auto q = txn.query(
        "SELECT id, user, name, password_hash, root, root_path, read_only, active, created_at,"
        " updated_at, workspace FROM webdav_accounts WHERE id = ?1 AND user = ?2",
        id, user);
    if (!q.next()) {
      return fail(Errc::not_found, "no WebDAV account with id " + std::to_string(id));
    }
    return read_account(q);
  });
}

Task<Result<void>> WebdavStore::put_lock(WebdavLockRow lock) {
  co_return co_await database_.write([&](Txn& txn) -> Result<void> {
    txn.exec(
        "INSERT OR REPLACE INTO webdav_locks(token, workspace, ino, above, shared, deep, path,"
        " owner, principal, timeout, expires_at)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        lock.token, lock.workspace, lock.ino, joined(lock.above), lock.shared, lock.deep, lock.path,
        lock.owner, lock.principal, lock.timeout, lock.expires_at);
    return ok();
  });
}

Task<Result<void>> WebdavStore::remove_locks(std::vector<std::string> tokens) {
  co_return co_await database_.write([&](Txn& txn) -> Result<void> {
    for (const std::string& token : tokens) {
      txn.exec("DELETE FROM webdav_locks WHERE token = ?1", token);
    }
    return ok();
  });
}

Task<Result<std::vector<WebdavLockRow>>> WebdavStore::load_locks() {
  const int64_t now = clock_.now_seconds();
  co_return co_await database_.write([&](Txn& txn) -> Result<std::vector<WebdavLockRow>> {
    txn.exec("DELETE FROM webdav_locks WHERE expires_at <= ?1", now);
    std::vector<WebdavLockRow> found;
    auto q = txn.query(
        "SELECT token, workspace, ino, above, shared, deep, path, owner, principal, timeout,"
        " expires_at FROM webdav_locks");
    while (q.next()) found.push_back(read_lock(q));
    return found;
  });
}

}  // namespace aster::db
