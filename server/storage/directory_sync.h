#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "protocol/base/executor.h"
#include "protocol/base/guarded.h"
#include "protocol/base/unique_handle.h"

namespace aster::storage {

/// Makes changes of directories durable; callers that come while an fsync of the same directory
/// runs share the next one. Thread-safe.
class DirectorySync {
 public:
  /// `executor` must outlive the object and its tasks.
  explicit DirectorySync(Executor& executor) : state_(std::make_shared<State>(executor)) {}

  /// Done when every change made to the directory before this call survives a crash.
  Task<Result<void>> sync(std::shared_ptr<const UniqueFd> directory);

 private:
  using Key = std::pair<dev_t, ino_t>;
  using Waiters = std::vector<Completion<Result<void>>>;

  struct State {
    explicit State(Executor& e) : executor(e) {}
    Executor& executor;
    Guarded<std::map<Key, Waiters>> waiting;  ///< an entry = somebody runs for this directory
  };
  /// Serves rounds until nobody waits.
  static void run(State& state, Key key, int directory);

  const std::shared_ptr<State> state_;
};

}  // namespace aster::storage
