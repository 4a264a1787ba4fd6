#include "server/db/backup.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>

#include "protocol/base/unique_handle.h"
#include "server/db/connection.h"
#include "server/db/journal_store.h"
#include "server/db/migrations.h"

namespace aster::db {
namespace {

namespace filesystem = std::filesystem;

/// One row of `settings` for each backup that objects are kept for: since when they must have been
/// unreferenced not to be kept (a while before the copy), until when they are kept.
constexpr char kHoldPrefix[] = "backup.hold.";
/// A transaction that drops references notes a time from before it waited for the write lock: it
/// may come after the copy with a time before the hold. Longer than any waits (a statement 10 s,
/// the queue of the writer perhaps minutes) and as objects are kept anyway.
constexpr std::chrono::minutes kHoldMargin{10};

/// As an SQL literal.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("''") : std::string(1, c);
  return out + "'";
}

Result<void> sync_path(const filesystem::path& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return fail_errno("sync " + path.string());
  return ok();
}

filesystem::path folder_of(const filesystem::path& file) {
  return file.has_parent_path() ? file.parent_path() : filesystem::path(".");
}

/// The directory entry is durable, too.
Result<void> rename_durably(const filesystem::path& from, const filesystem::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) {
    return fail_errno("rename " + from.string() + " to " + to.string());
  }
  return sync_path(folder_of(to));
}

/// The value of a PRAGMA or another query of one row and column.
Result<std::string> ask(Connection& connection, const char* sql) {
  Txn txn(connection);
  std::string value;
  {
    Query q = txn.query(sql);
    if (q.next()) value = q.text(0);
  }
  if (txn.failed()) return *txn.failure();
  return value;
}

Result<void> check(Connection& connection, const filesystem::path& file) {
  ASTER_TRY(const std::string verdict, ask(connection, "PRAGMA integrity_check(1)"));
  if (verdict != "ok") return fail(Errc::corrupt, file.string() + " is damaged: " + verdict);
  return ok();
}

Result<void> hold_objects(Connection& connection, const BackupOptions& options, int64_t now) {
  const int64_t until = now + std::chrono::nanoseconds(options.keep).count();
  const std::string key = kHoldPrefix + Guid::random().hex();
  const int64_t since = now - std::chrono::nanoseconds(kHoldMargin).count();
  const std::string value = std::to_string(since) + " " + std::to_string(until);
  return connection.run("INSERT INTO settings(key, value) VALUES (" + quoted(key) + ", " +
                        quoted(value) + ")");
}

/// Replaces what an earlier call left there, its journals as well, which SQLite would take for
/// those of the new file; never writes through a link that somebody put there.
Result<UniqueFd> make_private_empty(const filesystem::path& file) {
  for (const char* suffix : {"", "-journal", "-wal", "-shm"}) {
    (void)::unlink((file.string() + suffix).c_str());
  }
  UniqueFd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return fail_errno("open " + file.string());
  return fd;
}

/// The server runs as a user of its own and could not open what root leaves for itself.
Result<void> give_to_owner_of(const filesystem::path& model, const UniqueFd& file) {
  struct stat st {};
  if (::geteuid() != 0) return ok();
  if (::stat(model.c_str(), &st) != 0) return fail_errno("look at " + model.string());
  if (::fchown(file.get(), st.st_uid, st.st_gid) != 0) return fail_errno("change the owner");
  return ok();
}

Result<void> copy_into(const UniqueFd& out, const filesystem::path& file) {
  const UniqueFd in(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!in) return fail_errno("copy " + file.string());
  for (;;) {
    const ssize_t n = ::sendfile(out.get(), in.get(), nullptr, size_t{1} << 30);
    if (n == 0) return ok();
    if (n < 0 && errno != EINTR) return fail_errno("copy " + file.string());
  }
}

/// Waits for nobody: DELETE mode takes the file for itself alone, and puts the WAL into it.
Result<void> close_for_good(const std::string& database) {
  ASTER_TRY(const auto connection, Connection::open(database, Connection::Role::writer, false));
  sqlite3_busy_timeout(connection->handle(), 0);
  const Result<std::string> mode = ask(*connection, "PRAGMA journal_mode=DELETE");
  if (mode.ok() && *mode == "delete") return ok();
  return fail(Errc::unavailable,
              "database " + database + " is in use: stop the server first, then restore");
}

/// The copy becomes a database of this program with a history of its own.
Result<void> begin_history(const filesystem::path& file) {
  ASTER_TRY(const auto connection, Connection::open(file, Connection::Role::writer, false));
  ASTER_TRY(check(*connection, file));
  ASTER_TRY(migrate(*connection, all_migrations()));
  ASTER_TRY(connection->run("BEGIN IMMEDIATE"));
  Txn txn(*connection);
  JournalStore(txn).renew_epoch();
  if (txn.failed()) return *txn.failure();
  ASTER_TRY(connection->run("COMMIT"));
  // Everything in the one file that is going to be renamed.
  return connection->run("PRAGMA journal_mode=DELETE");
}

std::optional<std::pair<int64_t, int64_t>> parse_hold(std::string_view text) {
  std::pair<int64_t, int64_t> hold;
  const char* const end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, hold.first);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != ' ') return std::nullopt;
  const auto second = std::from_chars(first.ptr + 1, end, hold.second);
  if (second.ec != std::errc() || second.ptr != end) return std::nullopt;
  return hold;
}

}  // namespace

filesystem::path unfinished_backup(const BackupOptions& options) {
  return options.file.string() + ".new";
}

filesystem::path unfinished_restore(const RestoreOptions& options) {
  return options.database + ".restoring";
}

Result<void> back_up(const BackupOptions& options, const Clock& clock) {
  if (filesystem::exists(options.file)) {
    return fail(Errc::exists, options.file.string() + " is there already: choose another name");
  }
  const filesystem::path temp = unfinished_backup(options);
  ASTER_TRY(make_private_empty(temp));
  {
    ASTER_TRY(const auto source,
              Connection::open(options.database, Connection::Role::writer, false));
    // Before the copy, so that nothing it names can be collected in between.
    ASTER_TRY(hold_objects(*source, options, clock.now_ns()));
    ASTER_TRY(source->run("VACUUM INTO " + quoted(temp)));
  }
  {
    ASTER_TRY(const auto copy, Connection::open(temp, Connection::Role::reader, false));
    ASTER_TRY(check(*copy, temp));
  }
  ASTER_TRY(sync_path(temp));
  return rename_durably(temp, options.file);
}

Result<Restored> restore(const RestoreOptions& options, const Clock& clock) {
  const filesystem::path database = options.database;
  const bool there = filesystem::exists(database);
  if (there && !options.replace) {
    return fail(Errc::exists, "database " + options.database +
                                  " is there already: give --replace to move it aside");
  }
  if (there) ASTER_TRY(close_for_good(options.database));
  const filesystem::path temp = unfinished_restore(options);
  {
    ASTER_TRY(const UniqueFd copy, make_private_empty(temp));
    ASTER_TRY(give_to_owner_of(there ? database : folder_of(database), copy));
    ASTER_TRY(copy_into(copy, options.file));
  }
  ASTER_TRY(begin_history(temp));
  ASTER_TRY(sync_path(temp));
  Restored restored;
  if (there) {
    restored.moved_aside =
        options.database + ".before-restore-" + std::to_string(clock.now_seconds());
    ASTER_TRY(rename_durably(database, restored.moved_aside));
  }
  ASTER_TRY(rename_durably(temp, database));
  return restored;
}

int64_t kept_since(Txn& txn, int64_t now) {
  int64_t since = INT64_MAX;
  std::vector<std::string> over;
  {
    Query q = txn.query("SELECT key, value FROM settings WHERE key GLOB 'backup.hold.*'");
    while (q.next()) {
      const auto hold = parse_hold(q.view(1));
      if (!hold || hold->second <= now) {
        over.push_back(q.text(0));
      } else {
        since = std::min(since, hold->first);
      }
    }
  }
  for (const std::string& key : over) txn.exec("DELETE FROM settings WHERE key=?1", key);
  return since;
}

int64_t kept_until(Txn& txn, int64_t now) {
  int64_t until = now;
  Query q = txn.query("SELECT value FROM settings WHERE key GLOB 'backup.hold.*'");
  while (q.next()) {
    if (const auto hold = parse_hold(q.view(0))) until = std::max(until, hold->second);
  }
  return until;
}

}  // namespace aster::db
