#pragma once

#include <filesystem>
#include <iosfwd>

namespace aster {

/// Options of `aster_drive check`.
struct CheckCommand {
  std::filesystem::path config_file;
  bool deep = false;    ///< also ask every node for every object
  bool repair = false;  ///< set counters right
  bool json = false;
};

/// Holds the primary's database against its own rules. Exit status: 0 all is well (or repaired), 1
/// something is not, or the check failed, with the reason on `errors`.
int run_check(const CheckCommand& command, std::ostream& out, std::ostream& errors);

}  // namespace aster
