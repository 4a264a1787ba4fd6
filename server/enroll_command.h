#pragma once

#include <filesystem>
#include <iosfwd>
#include <string>

namespace aster {

/// Options of `aster_drive node enroll`.
struct EnrollCommand {
  std::filesystem::path config_file;
  std::string master_url;
  std::string token;
  std::string database_url;  ///< empty = that of the configuration
  std::string output_format =
      "auto";  ///< auto (human on a terminal, else json), json, pretty-json, human
};

/// Runs the command; the answer goes to `out`. Exit status: 0, or 1 for a failure.
int run_enroll(const EnrollCommand& command, std::ostream& out);

}  // namespace aster
