#pragma once

#include "server/primary/mutation.h"

/// The operations on one inode's attributes. Private to the namespace service. Errors are those of
/// fs/messages.h.
namespace aster::primary {

class ObjectBackends;

Result<fs::Answer> apply(Mutation& m, const fs::SetAttr& op, ObjectBackends& backends);
Result<fs::Answer> apply(Mutation& m, const fs::SetXattr& op, ObjectBackends& backends);
Result<fs::Answer> apply(Mutation& m, const fs::RemoveXattr& op);
Result<fs::Answer> apply(Mutation& m, const fs::Touch& op);

}  // namespace aster::primary
