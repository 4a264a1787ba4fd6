#pragma once

#include <filesystem>
#include <iosfwd>

namespace aster {

/// Options of `aster_drive backup` and `aster_drive restore`.
struct BackupCommand {
  std::filesystem::path config_file;
  std::filesystem::path file;
  int keep_days = 30;    ///< backup: 0 to 3650
  bool replace = false;  ///< restore
};

/// Copies the primary's database into one file, whether the server runs or not. Exit status: 0, or
/// 1 with the reason on `errors`.
int run_backup(const BackupCommand& command, std::ostream& out, std::ostream& errors);
/// Puts such a file in the place of the database; the server must not run. Exit status likewise.
int run_restore(const BackupCommand& command, std::ostream& out, std::ostream& errors);

}  // namespace aster
