#pragma once

#include <chrono>
#include <filesystem>
#include <string>

#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "server/db/txn.h"

/// Copies of the database in one file, made while a server uses it.
namespace aster::db {

struct BackupOptions {
  std::string database;        ///< path of the SQLite file
  std::filesystem::path file;  ///< must not exist
  /// How long objects are kept on the followers for the sake of this copy: until then a restored
  /// copy finds the bytes of every file.
  std::chrono::hours keep{30 * 24};
};
/// Writes the newest committed state into `file` (mode 0600), checks the copy and makes it durable.
/// Everything that was committed before the call is in it. exists, no_space, access_denied ...
///
/// What is there after a kill: before the rename at most a FILE.new, which the next call replaces,
/// and perhaps objects that are kept in vain; after it the backup.
Result<void> back_up(const BackupOptions& options, const Clock& clock);
/// The file that back_up() makes before it gives it its name: how large it is says how far it is.
std::filesystem::path unfinished_backup(const BackupOptions& options);

struct RestoreOptions {
  std::filesystem::path file;  ///< as back_up() left it
  std::string database;
  bool replace = false;  ///< an existing database is moved aside
};
struct Restored {
  std::filesystem::path moved_aside;  ///< the database that was there; empty = none
};
/// Puts the copy in the place of the database, as a file (mode 0600) of this user or, when root
/// calls, of who owns the database that is there or else its folder. Begins a new history in it, so
/// that clients trust nothing they knew. exists without `replace`, unavailable while anybody uses
/// the database, corrupt when the copy is damaged, precondition_failed when it is of a newer
/// program.
///
/// What is there after a kill: the old database, or none and DATABASE.before-restore-TIME, or the
/// restored one; never a half one under the database's name.
Result<Restored> restore(const RestoreOptions& options, const Clock& clock);
/// Likewise for restore().
std::filesystem::path unfinished_restore(const RestoreOptions& options);

/// Objects that lost their last reference at this time or later belong to a backup that is still
/// kept; INT64_MAX when there is none. `now` in ns. Forgets backups whose time is over.
int64_t kept_since(Txn& txn, int64_t now);

/// When the last backup that is kept at `now` is kept no more; `now` when there is none.
int64_t kept_until(Txn& txn, int64_t now);

}  // namespace aster::db
