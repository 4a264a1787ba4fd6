#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <system_error>

#include "protocol/base/clock.h"

namespace aster {

/// Options of `aster_drive doctor`.
struct DoctorCommand {
  std::filesystem::path config_file;
  bool json = false;
};

/// Looks at everything this server needs, changes nothing, and says what is wrong and the way out.
/// Exit status: 0 nothing is wrong (warnings may be there), 1 something is. Its progress goes to
/// `errors` when that is a terminal.
int run_doctor(const DoctorCommand& command, std::ostream& out, std::ostream& errors);

/// What it knows of this machine.
struct DoctorSenses {
  const Clock& clock;
  /// Bytes that may still be written to the disk of a folder.
  std::function<uint64_t(const std::filesystem::path& folder, std::error_code& error)> space;
  std::ostream* terminal = nullptr;  ///< for progress; may be null
};
int run_doctor(const DoctorCommand& command, const DoctorSenses& senses, std::ostream& out);

}  // namespace aster
