#pragma once

#include "protocol/fs/messages.h"
#include "server/db/fs_store.h"
#include "server/primary/namespace_service.h"

/// The operations that only look. Private to the namespace service; each runs inside one read
/// transaction. Errors are those of fs/messages.h.
namespace aster::primary {

class ObjectBackends;

struct ReadContext {
  db::FsStore& store;
  const Caller& caller;
  ObjectBackends& backends;
};

Result<fs::Answer> answer(ReadContext& c, const fs::Lookup& op);
Result<fs::Answer> answer(ReadContext& c, const fs::GetAttr& op);
Result<fs::Answer> answer(ReadContext& c, const fs::ReadDir& op);
Result<fs::Answer> answer(ReadContext& c, const fs::GetXattr& op);
Result<fs::Answer> answer(ReadContext& c, const fs::ListXattr& op);
Result<fs::Answer> answer(ReadContext& c, const fs::StatFs& op);
/// manifest_reader.cpp
Result<fs::Answer> answer(ReadContext& c, const fs::GetManifest& op);

/// About how many bytes the answer takes as JSON; never much less.
size_t estimated_size(const fs::Answer& answer);

}  // namespace aster::primary
