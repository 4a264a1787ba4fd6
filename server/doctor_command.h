#pragma once

#include <filesystem>
#include <iosfwd>

namespace aster {

/// Options of `aster_drive doctor`.
struct DoctorCommand {
  std::filesystem::path config_file;
  bool json = false;
};

/// Looks at everything this server needs, changes nothing, and says what is wrong and the way out.
/// Exit status: 0 nothing is wrong (warnings may be there), 1 something is.
int run_doctor(const DoctorCommand& command, std::ostream& out);

}  // namespace aster
