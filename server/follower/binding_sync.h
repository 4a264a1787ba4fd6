#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <string>

#include "protocol/base/executor.h"
#include "protocol/base/guarded.h"
#include "protocol/client/http_client.h"
#include "server/follower/binding_store.h"

namespace aster::follower {

/// Asks every primary for the state of its binding from time to time (protocol section 12.2), so
/// that a change whose push got lost arrives all the same, and takes over bindings that `node
/// enroll` added meanwhile. A primary that is too old to answer is asked seldom.
class BindingSync {
 public:
  /// All must outlive it; it runs on `executor`.
  struct Parts {
    BindingStore& store;
    HttpClient& http;
    Executor& executor;
    const Clock& clock;
    std::chrono::seconds interval{30};
  };
  explicit BindingSync(Parts parts) : parts_(parts) {}
  ~BindingSync() { stop(); }

  /// Begins with a round at once. At most one call.
  void start();
  /// Ends calls under way; returns when nothing runs any more. Not on a thread of the executor.
  void stop();

  /// Every binding once.
  Task<void> round();

 private:
  struct Peer {
    unsigned skip = 0;     ///< rounds to leave out
    std::string reported;  ///< the failure that was logged last
  };
  Task<void> run();
  Task<void> pause();
  Task<bool> pull(Binding binding);
  Task<Result<void>> ask(Binding binding);
  bool is_due(int64_t binding_id);
  void note(const Binding& binding, const Result<void>& outcome);

  const Parts parts_;
  const CancelToken cancel_;
  Guarded<std::map<int64_t, Peer>> peers_;
  std::atomic<bool> started_{false};
  std::atomic<bool> stopping_{false};
  Guarded<Completion<bool>> wake_;
  Completion<bool> ended_;
};

}  // namespace aster::follower
