#pragma once

#include <span>
#include <vector>

#include "server/primary/content_operations.h"
#include "server/primary/event_hub.h"
#include "server/primary/mutation.h"

namespace aster::primary {

/// Applies single operations inside transactions: the rules around them, not their own.
class OperationRunner {
 public:
  OperationRunner(ComposeDelays delays, ObjectBackends& backends, EventHub& hub, const Clock& clock)
      : delays_(delays), backends_(backends), hub_(hub), clock_(clock) {}

  /// True for operations that need the writer (mutations, grants, holds).
  static bool writes(const fs::Operation& operation) noexcept;

  /// Runs the operations in order, each in its own savepoint. With `stop_on_error` those after a
  /// failed one are `interrupted`.
  std::vector<Result<fs::Answer>> write(db::Txn& txn, const Caller& caller,
                                        std::span<const fs::BatchItem> items, bool stop_on_error);
  Result<fs::Answer> read(db::Txn& txn, const Caller& caller, const fs::Operation& operation);

 private:
  Result<fs::Answer> write_one(db::Txn& txn, const Caller& caller, const fs::BatchItem& item);
  Result<fs::Answer> dispatch(Mutation& m, const fs::Operation& operation);
  /// Journal, stored answer, usage, and the publication after the commit.
  void finish(Mutation& m, const fs::BatchItem& item, const Result<fs::Answer>& answer);

  const ComposeDelays delays_;
  ObjectBackends& backends_;
  EventHub& hub_;
  const Clock& clock_;
};

}  // namespace aster::primary
