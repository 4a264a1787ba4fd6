#pragma once

#include <string>

namespace aster {

/// "report.txt" -> "report.conflict-HOST-20261121T143000Z.txt", cut to what a name may have.
/// Another `attempt` gives another name.
std::string conflict_name(const std::string& name, const std::string& client, unsigned attempt);

}  // namespace aster
