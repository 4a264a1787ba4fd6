#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/ids.h"
#include "protocol/base/task.h"
#include "server/db/account_store.h"

namespace aster::db {

/// A name and password of its own for one folder of a user's tree.
struct WebdavAccountRow {
  uint64_t id = 0;
  UserId user;
  std::string name;           ///< unique
  std::string password_hash;  ///< argon2id, encoded; never leaves the server
  InodeNo root;               ///< 0 = the whole tree
  std::string root_path;      ///< as it was when the account was made, for lists
  std::string workspace;      ///< empty = the user's own, else "team:NAME"
  bool read_only = false;
  bool active = true;
  int64_t created_at = 0;
  int64_t updated_at = 0;
};

/// A WebDAV lock (RFC 4918). Times are unix seconds.
struct WebdavLockRow {
  std::string token;  ///< urn:uuid:...
  uint64_t workspace = 0;
  InodeNo ino;
  std::vector<InodeNo> above;  ///< directories above it when it was made, the tree's root first
  bool shared = false;
  bool deep = false;
  std::string path;   ///< of the resource, percent-encoded, as its owner named it
  std::string owner;  ///< XML that the client sent
  std::string principal;
  int64_t timeout = 0;  ///< as granted
  int64_t expires_at = 0;
};

/// Thread-safe; a write is durable when answered.
class WebdavStore {
 public:
  WebdavStore(Database& database, Executor& executor, const Clock& clock)
      : database_(database), executor_(executor), clock_(clock) {}

  /// conflict when the name is taken, also by a user. id and times are filled in.
  Task<Result<WebdavAccountRow>> create_account(WebdavAccountRow account);
  /// not_found.
  Task<Result<WebdavAccountRow>> account_by_name(std::string name);
  /// Of one user, by id.
  Task<Result<RowPage<WebdavAccountRow>>> list_accounts(UserId user, PageRequest page);
  /// not_found, also for another user's.
  Task<Result<void>> remove_account(UserId user, uint64_t id);
  /// Turns it on or off; the new state. not_found.
  Task<Result<WebdavAccountRow>> toggle_account(UserId user, uint64_t id);

  /// Adds or replaces.
  Task<Result<void>> put_lock(WebdavLockRow lock);
  Task<Result<void>> remove_locks(std::vector<std::string> tokens);
  /// All; those that have ended by then are removed first.
  Task<Result<std::vector<WebdavLockRow>>> load_locks();

 private:
  Database& database_;
  Executor& executor_;
  const Clock& clock_;
};

}  // namespace aster::db
