#include "server/db/connection.h"

#include <fcntl.h>
#include <unistd.h>

namespace aster::db {
namespace {

Errc errc_of(int code) {
  switch (code) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID: return Errc::conflict;
  }
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return Errc::unavailable;
    case SQLITE_FULL: return Errc::no_space;
    case SQLITE_NOMEM: return Errc::out_of_resources;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN: return Errc::access_denied;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return Errc::corrupt;
    case SQLITE_TOOBIG: return Errc::too_large;
    default: return Errc::io_error;
  }
}

/// SQLite would make the file with the umask's mode; it holds password hashes and keys.
Result<void> make_private_file(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return fail_errno("open database " + path);
  return ok();
}

/// synchronous=FULL: a COMMIT that returned is on the disk. The writer checkpoints every 16 MiB of
/// WAL (4096 pages), so that an fsync of the database is rare. Caches: 64 MiB and 16 MiB.
constexpr char kWriterPragmas[] =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4096;"
    "PRAGMA cache_size=-65536; PRAGMA foreign_keys=ON; PRAGMA secure_delete=OFF;"
    "PRAGMA journal_size_limit=67108864; PRAGMA temp_store=MEMORY;";
constexpr char kReaderPragmas[] =
    "PRAGMA query_only=ON; PRAGMA cache_size=-16384; PRAGMA temp_store=MEMORY;";

}  // namespace

Result<std::unique_ptr<Connection>> Connection::open(const std::string& path, Role role,
                                                     bool create) {
  if (create) ASTER_TRY(make_private_file(path));
  sqlite3* raw = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE |
                    SQLITE_OPEN_EXRESCODE;
  const int code = sqlite3_open_v2(path.c_str(), &raw, flags, nullptr);
  std::unique_ptr<Connection> connection(new Connection(SqliteHandle(raw)));
  if (code != SQLITE_OK) return connection->error(code, "open database " + path);
  // Another process (node enroll, doctor) may hold the write lock for a moment.
  sqlite3_busy_timeout(raw, 10000);
  ASTER_TRY(connection->run(role == Role::writer ? kWriterPragmas : kReaderPragmas));
  return connection;
}

Result<void> Connection::run(const std::string& sql) {
  const int code = sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return error(code, sql.substr(0, 60));
  return ok();
}

Result<CachedStatement*> Connection::prepare(std::string_view sql) {
  const auto found = statements_.find(sql);
  if (found != statements_.end() && !found->second.busy) {
    found->second.busy = true;
    return &found->second;
  }
  sqlite3_stmt* raw = nullptr;
  const int code = sqlite3_prepare_v3(handle_.get(), sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &raw, nullptr);
  if (code != SQLITE_OK) return error(code, sql.substr(0, 60));
  if (found != statements_.end()) {
    return new CachedStatement{SqliteStatement(raw), true, false};
  }
  return &statements_.emplace(sql, CachedStatement{SqliteStatement(raw), true, true}).first->second;
}

void Connection::give_back(CachedStatement* statement) noexcept {
  if (!statement->cached) {
    delete statement;
    return;
  }
  sqlite3_reset(statement->handle.get());
  sqlite3_clear_bindings(statement->handle.get());
  statement->busy = false;
}

Error Connection::error(int code, std::string_view doing) const {
  std::string text = "database: ";
  text += doing;
  text += ": ";
  text += handle_ ? sqlite3_errmsg(handle_.get()) : sqlite3_errstr(code);
  return {errc_of(code), std::move(text)};
}

}  // namespace aster::db
