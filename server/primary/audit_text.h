#pragma once

#include <string>
#include <string_view>

namespace aster::primary {

/// What a change that was asked for as a JSON object says, for the audit log: "name=far
/// options.remote_upload_strategy=presigned secret_key=***". Values of members whose names speak of
/// secrets, and what stands before the '@' of a URL, are left out. At most `kAuditChangesMax`
/// bytes.
std::string changes_text(std::string_view json_object);

inline constexpr size_t kAuditChangesMax = 1000;

}  // namespace aster::primary
