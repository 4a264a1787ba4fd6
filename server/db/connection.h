#pragma once

#include <sqlite3.h>

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "protocol/base/result.h"
#include "protocol/base/unique_handle.h"

/// Private to server/db: the only header besides the .cpp files that sees SQLite.
namespace aster::db {

using SqliteHandle = CHandle<sqlite3, sqlite3_close_v2>;
using SqliteStatement = CHandle<sqlite3_stmt, sqlite3_finalize>;

/// A prepared statement and whether somebody runs it now.
struct CachedStatement {
  SqliteStatement handle;
  bool busy = false;
  bool cached = true;  ///< false: a second copy of a statement in use, dropped after use
};

/// One SQLite connection with its prepared statements. Used by one thread at a time.
class Connection {
 public:
  enum class Role { writer, reader };
  /// `create`: make the file when it is not there. The file and its WAL are private to the user.
  static Result<std::unique_ptr<Connection>> open(const std::string& path, Role role, bool create);

  /// For statements without parameters or rows; several may stand in `sql`.
  Result<void> run(const std::string& sql);
  Result<CachedStatement*> prepare(std::string_view sql);
  void give_back(CachedStatement* statement) noexcept;

  /// What went wrong just now, as an Error; `code` is SQLite's extended result code.
  Error error(int code, std::string_view doing) const;
  sqlite3* handle() const noexcept { return handle_.get(); }
  bool in_transaction() const noexcept { return sqlite3_get_autocommit(handle_.get()) == 0; }

 private:
  explicit Connection(SqliteHandle handle) : handle_(std::move(handle)) {}

  SqliteHandle handle_;
  std::unordered_map<std::string_view, CachedStatement> statements_;  // keys are literals
};

}  // namespace aster::db
