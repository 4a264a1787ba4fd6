#pragma once

#include <filesystem>
#include <iosfwd>
#include <string>

namespace aster {

/// Options of `aster_drive user add`.
struct UserAddCommand {
  std::filesystem::path config_file;
  std::string name;
  std::string password_file;  ///< "-" = standard input
  std::string database_url;   ///< empty = that of the configuration
  bool admin = false;
};

/// Puts the account into the primary's own database, whether the server runs or not. Exit status:
/// 0, or 1 with the reason on `errors`.
int run_user_add(const UserAddCommand& command, std::ostream& out, std::ostream& errors);

}  // namespace aster
