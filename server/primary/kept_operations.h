#pragma once

#include "server/primary/mutation.h"
#include "server/primary/read_operations.h"

/// The operations on the trash and on versions. Private to the namespace service. Errors are those
/// of fs/messages.h.
namespace aster::primary {

Result<fs::Answer> answer(ReadContext& c, const fs::ListTrash& op);
Result<fs::Answer> answer(ReadContext& c, const fs::ListVersions& op);
Result<fs::Answer> apply(Mutation& m, const fs::RestoreTrash& op);
Result<fs::Answer> apply(Mutation& m, const fs::EmptyTrash& op);
Result<fs::Answer> apply(Mutation& m, const fs::RestoreVersion& op);

}  // namespace aster::primary
