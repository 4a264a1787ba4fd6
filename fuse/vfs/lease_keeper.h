#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "fuse/vfs/kernel_cache.h"
#include "protocol/base/executor.h"
#include "protocol/base/guarded.h"
#include "protocol/client/primary_client.h"

namespace aster {

/// This mount's lease at the primary: takes it up, renews it, acknowledges events, and says until
/// when what the primary told may be believed. Thread-safe. States:
///   lost: the stream is not there or has not caught up, or the primary has given the lease up;
///   noticed: the stream told its number; the first Ack is under way;
///   held: believed until a while before the primary's term is over, counted from the moment at
///     which the Ack that renewed it was sent (a message that travelled for long shortens it).
class LeaseKeeper {
 public:
  struct Actions {
    /// Everything that was told so far is no longer leased.
    std::function<void()> forget;
    /// Believe until then; SteadyTime{} = nothing, from now on.
    std::function<void(SteadyTime until)> believe;
  };
  /// `term`: of the primary, 0 = there are no leases and nothing happens here. The clock must go on
  /// while the machine sleeps. Everything must outlive it.
  LeaseKeeper(PrimaryClient& primary, Executor& executor, const Clock& clock, Duration term,
              Actions actions);
  ~LeaseKeeper();

  bool enabled() const;

  /// An event that is being carried out: acknowledged once the token and all its copies are gone,
  /// at once if it is a recall, else with the next renewal.
  DropToken event(const std::string& cursor, bool recalled);
  /// Something that must be carried out before any later event is acknowledged.
  DropToken barrier();
  /// In order with the events, from the thread of the stream.
  void noticed(uint64_t lease);
  void stream_lost();
  /// No more calls to the primary nor to the actions.
  void stop();

 private:
  struct Shared;
  static void pump(std::shared_ptr<Shared> shared);
  static void answered(const std::shared_ptr<Shared>& shared, uint64_t lease, SteadyTime sent,
                       const Result<fs::AckAnswer>& answer);
  static void tick(std::weak_ptr<Shared> shared);

  const std::shared_ptr<Shared> shared_;
};

}  // namespace aster
