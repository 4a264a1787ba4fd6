#pragma once

#include <atomic>
#include <vector>

#include "fuse/vfs/types.h"
#include "protocol/base/executor.h"
#include "protocol/client/primary_client.h"

namespace aster {

/// The primary with this mount's patience: deadlines, `hard`, and what to do when it is away.
/// Thread-safe.
class Remote {
 public:
  /// Everything handed in must outlive it.
  Remote(PrimaryClient& primary, Executor& executor, const Clock& clock, const VfsOptions& options)
      : primary_(primary),
        executor_(executor),
        clock_(clock),
        timeout_(options.timeout),
        hard_(options.hard),
        // What works without servers on purpose goes on with what it knows.
        strict_(options.lease_term.count() > 0 && options.journal == nullptr) {}

  /// One operation. unavailable or timeout after the mount's deadline; with `hard` it is repeated
  /// until it succeeds, the caller leaves or stop() is called. A mutation keeps its operation id
  /// through all repetitions.
  Task<Result<fs::Answer>> ask(fs::Operation operation, Caller who);
  /// Likewise a change of names, and in the same round trip what became of these inodes.
  struct Changed {
    Result<fs::Answer> answer;
    std::vector<Result<fs::Answer>> inodes;  ///< empty when nothing was answered
  };
  Task<Changed> change(fs::Operation operation, std::vector<InodeNo> inodes, Caller who);
  /// An operation that only reads and of whose answer an older copy may serve: when the event
  /// stream is lost as well and the mount is soft, it gives up after a few seconds, and for a while
  /// at once.
  Task<Result<fs::Answer>> refresh(fs::Operation operation, Caller who);

  /// Likewise, but one attempt that takes a second at most, also with `hard`; when it has failed
  /// and the stream is lost, others fail at once for a while.
  Task<Result<fs::Answer>> glance(fs::Operation operation);

  template <class A>
  Task<Result<A>> call(fs::Operation operation, Caller who) {
    Result<fs::Answer> answer = co_await ask(std::move(operation), std::move(who));
    co_return pick<A>(std::move(answer));
  }
  template <class A>
  Task<Result<A>> refreshed(fs::Operation operation, Caller who) {
    Result<fs::Answer> answer = co_await refresh(std::move(operation), std::move(who));
    co_return pick<A>(std::move(answer));
  }
  template <class A>
  Task<Result<A>> glanced(fs::Operation operation) {
    Result<fs::Answer> answer = co_await glance(std::move(operation));
    co_return pick<A>(std::move(answer));
  }
  /// Several reads in one round trip.
  Task<Result<std::vector<Result<fs::Answer>>>> ask_all(std::vector<fs::Operation> operations);

  /// Repeats an attempt (of FileContent) as `hard` says. `attempt` makes a new task each time.
  template <class T>
  Task<Result<T>> persist(std::function<Task<Result<T>>()> attempt, Caller who) {
    for (;;) {
      Result<T> result = co_await attempt();
      if (result.ok() || !repeat(result.error(), who)) co_return result;
      co_await executor_.sleep(kPause);
    }
  }

  /// The state of the event stream, the only early sign that the primary is away.
  void set_alive(bool alive) { alive_ = alive; }
  bool alive() const { return alive_; }
  /// True when old copies may be served after this error. Under leases not after a timeout: a
  /// primary that refuses connections is down and confirms nothing to anybody, but one that cannot
  /// be reached may.
  bool may_serve_old(const Error& error) const;
  /// The primary did not answer, or could not serve.
  static bool transient(const Error& error) {
    return error.code == Errc::unavailable || error.code == Errc::timeout;
  }
  /// No more repetitions.
  void stop() { stopping_ = true; }
  bool stopped() const { return stopping_; }
  bool hard() const { return hard_; }

  template <class A>
  static Result<A> pick(Result<fs::Answer> answer) {
    if (!answer.ok()) return std::move(answer).error();
    A* typed = std::get_if<A>(&*answer);
    if (typed == nullptr) return fail(Errc::internal, "answer is of another type");
    return std::move(*typed);
  }

 private:
  static constexpr std::chrono::milliseconds kPause{500};

  bool repeat(const Error& error, const Caller& who) const {
    return hard_ && transient(error) && !who.left() && !who.ending && !stopping_;
  }
  Task<Result<fs::Answer>> once(fs::Operation operation, std::optional<OperationId> id,
                                std::chrono::milliseconds deadline);

  PrimaryClient& primary_;
  Executor& executor_;
  const Clock& clock_;
  const std::chrono::milliseconds timeout_;
  const bool hard_;
  const bool strict_;  ///< old copies only while the primary is surely down
  std::atomic<bool> alive_{true};
  std::atomic<bool> stopping_{false};
  std::atomic<SteadyTime::rep> away_until_{0};
  std::atomic<SteadyTime::rep> no_glance_until_{0};
};

}  // namespace aster
