#pragma once

#include <span>
#include <vector>

#include "protocol/fs/lease_messages.h"
#include "server/primary/content_operations.h"
#include "server/primary/event_hub.h"
#include "server/primary/lease_table.h"
#include "server/primary/mutation.h"

namespace aster::primary {

/// Applies single operations inside transactions: the rules around them, not their own.
class OperationRunner {
 public:
  OperationRunner(ComposeDelays delays, const NamespaceOptions& options, ObjectBackends& backends,
                  EventHub& hub, LeaseTable& leases, const Clock& clock)
      : delays_(delays),
        options_(options),
        backends_(backends),
        hub_(hub),
        leases_(leases),
        clock_(clock) {}

  /// True for operations that need the writer (mutations, grants, holds).
  static bool writes(const fs::Operation& operation) noexcept;
  /// True for what may go on in a transaction that writes, or only reads.
  static bool shares_run(bool writing, const fs::Operation& operation) noexcept;

  /// Runs the operations in order, each in its own savepoint. With `stop_on_error` those after a
  /// failed one are `interrupted`. `recalls` gets, after the COMMIT, what has to be waited for
  /// before the answers may leave; it must live until then. Stops before the first operation that
  /// concerns what another session keeps to itself, and then sets `blocked`: the rest is to be run
  /// when that is done.
  std::vector<Result<fs::Answer>> write(db::Txn& txn, const Caller& caller,
                                        std::span<const fs::BatchItem> items, bool stop_on_error,
                                        std::vector<RecallPtr>& recalls, RecallPtr& blocked);
  /// Leases an inode, and what has a name in it, for writing. `recalls` as above.
  Result<fs::LeaseAnswer> take(db::Txn& txn, const Caller& caller, const fs::LeaseRequest& request,
                               std::vector<RecallPtr>& recalls);
  Result<fs::Answer> read(db::Txn& txn, const Caller& caller, const fs::Operation& operation);

 private:
  Result<fs::Answer> write_one(db::Txn& txn, const Caller& caller, const fs::BatchItem& item,
                               std::vector<RecallPtr>& recalls, RecallPtr& blocked);
  /// What others keep to themselves of what the operation names, or has just changed.
  RecallPtr kept_by_others(db::Txn& txn, const Caller& caller, const fs::Operation& operation);
  RecallPtr kept_by_others(const Caller& caller, const fs::Invalidation& changed);
  Result<fs::Answer> dispatch(Mutation& m, const fs::Operation& operation);
  /// Journal, stored answer, usage, and after the commit publication and recall.
  void finish(Mutation& m, const fs::BatchItem& item, const Result<fs::Answer>& answer,
              std::vector<RecallPtr>& recalls);
  void publish(Mutation& m, uint64_t position, std::vector<LeaseWish> granted,
               std::vector<RecallPtr>& recalls);

  const ComposeDelays delays_;
  const NamespaceOptions options_;
  ObjectBackends& backends_;
  EventHub& hub_;
  LeaseTable& leases_;
  const Clock& clock_;
};

/// What an answer lets the session believe that asked.
std::vector<LeaseWish> leased_by(const fs::Operation& operation, const Result<fs::Answer>& answer);

}  // namespace aster::primary
