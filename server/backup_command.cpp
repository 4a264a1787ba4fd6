#include "server/backup_command.h"

#include <ostream>

#include "protocol/base/config.h"
#include "server/db/backup.h"
#include "server/db/database.h"

namespace aster {
namespace {

Result<db::DatabasePath> database_of(const std::filesystem::path& config_file) {
  ASTER_TRY(const Config config, Config::load(config_file, Config::process_environment()));
  if (config.text("server.start_mode") != "primary") {
    return fail(Errc::precondition_failed,
                "server.start_mode is not \"primary\": a follower's objects are its data; copy its "
                "folder");
  }
  return db::parse_database_url(config.database_url());
}

Result<void> back_up(const BackupCommand& command) {
  ASTER_TRY(const db::DatabasePath database, database_of(command.config_file));
  db::BackupOptions options;
  options.database = database.path;
  options.file = command.file;
  options.keep = std::chrono::hours(24) * command.keep_days;
  return db::back_up(options, SystemClock());
}

Result<db::Restored> restore(const BackupCommand& command) {
  ASTER_TRY(const db::DatabasePath database, database_of(command.config_file));
  return db::restore({command.file, database.path, command.replace}, SystemClock());
}

int complain(std::ostream& errors, const char* command, const Error& error) {
  errors << "aster_drive: " << command << ": "
         << (error.context.empty() ? error.message() : error.context) << "\n";
  return 1;
}

}  // namespace

int run_backup(const BackupCommand& command, std::ostream& out, std::ostream& errors) {
  const Result<void> done = back_up(command);
  if (!done.ok()) return complain(errors, "backup", done.error());
  out << "backed up to " << command.file.string() << "; followers keep what it names for "
      << command.keep_days << " days\n";
  return 0;
}

int run_restore(const BackupCommand& command, std::ostream& out, std::ostream& errors) {
  const Result<db::Restored> done = restore(command);
  if (!done.ok()) return complain(errors, "restore", done.error());
  out << "restored " << command.file.string() << "\n";
  if (!done->moved_aside.empty()) {
    out << "the database that was there is " << done->moved_aside.string() << " now\n";
  }
  return 0;
}

}  // namespace aster
