#include "server/backup_command.h"

#include <unistd.h>

#include <ostream>

#include "protocol/base/config.h"
#include "protocol/base/progress_line.h"
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

uint64_t size_of(const std::filesystem::path& file) {
  std::error_code error;
  const uint64_t size = std::filesystem::file_size(file, error);
  return error ? 0 : size;
}

/// Shows how much of the `whole` bytes, or about so many, is in `copy`; then the copy is checked.
void show_copy(ProgressLine& line, const std::filesystem::path& copy, uint64_t whole) {
  line.follow([copy, whole] { return "copying: " + shown_share(size_of(copy), whole); });
}

Result<void> back_up(const BackupCommand& command, std::ostream* terminal) {
  ASTER_TRY(const db::DatabasePath database, database_of(command.config_file));
  db::BackupOptions options;
  options.database = database.path;
  options.file = command.file;
  options.keep = std::chrono::hours(24) * command.keep_days;
  ProgressLine line(terminal);
  show_copy(line, db::unfinished_backup(options), size_of(database.path));
  return db::back_up(options, SystemClock());
}

Result<db::Restored> restore(const BackupCommand& command, std::ostream* terminal) {
  ASTER_TRY(const db::DatabasePath database, database_of(command.config_file));
  const db::RestoreOptions options{command.file, database.path, command.replace};
  ProgressLine line(terminal);
  show_copy(line, db::unfinished_restore(options), size_of(command.file));
  return db::restore(options, SystemClock());
}

int complain(std::ostream& errors, const char* command, const Error& error) {
  errors << "aster_drive: " << command << ": "
         << (error.context.empty() ? error.message() : error.context) << "\n";
  return 1;
}

}  // namespace

int run_backup(const BackupCommand& command, std::ostream& out, std::ostream& errors) {
  const Result<void> done = back_up(command, terminal_behind(errors, STDERR_FILENO));
  if (!done.ok()) return complain(errors, "backup", done.error());
  out << "backed up to " << command.file.string() << "; followers keep what it names for "
      << command.keep_days << " days\n";
  return 0;
}

int run_restore(const BackupCommand& command, std::ostream& out, std::ostream& errors) {
  const Result<db::Restored> done = restore(command, terminal_behind(errors, STDERR_FILENO));
  if (!done.ok()) return complain(errors, "restore", done.error());
  out << "restored " << command.file.string() << "\n";
  if (!done->moved_aside.empty()) {
    out << "the database that was there is " << done->moved_aside.string() << " now\n";
  }
  return 0;
}

}  // namespace aster
