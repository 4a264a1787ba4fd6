#pragma once

#include "server/primary/mutation.h"

/// What a session asks for that is kept in the database but changes no tree: upload grants and
/// holds. Private to the namespace service. Errors are those of fs/messages.h.
namespace aster::primary {

class ObjectBackends;

Result<fs::Answer> apply(Mutation& m, const fs::Grant& op, ObjectBackends& backends);
/// stale_handle as well when the session has ended.
Result<fs::Answer> apply(Mutation& m, const fs::Hold& op);
Result<fs::Answer> apply(Mutation& m, const fs::Release& op);
Result<fs::Answer> apply(Mutation& m, const fs::ReserveInodes& op);

}  // namespace aster::primary
