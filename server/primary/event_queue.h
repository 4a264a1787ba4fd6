#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "protocol/base/executor.h"
#include "protocol/base/guarded.h"
#include "protocol/base/task.h"

namespace aster::primary {

/// What waits to be sent to one session: filled by the publisher, emptied by its event stream.
/// Thread-safe; one reader at a time. Once more than `limit` events wait, all are dropped and the
/// reader is told so.
class EventQueue : public std::enable_shared_from_this<EventQueue> {
 public:
  struct Event {
    uint64_t position = 0;                    ///< 0: no change, a notice
    std::shared_ptr<const std::string> text;  ///< as server-sent event
  };
  struct Batch {
    std::deque<Event> events;
    bool lost = false;           ///< events up to `lost_position` were dropped
    uint64_t lost_position = 0;  ///< everything in `events` is later
    bool ended = false;          ///< nothing will come any more
    /// None of these: a heartbeat is due.
  };

  EventQueue(Executor& executor, size_t limit) : executor_(executor), limit_(limit) {}
  /// Lets wait() come back empty at least this often. Call once, after construction.
  void start_heartbeat(Duration period);

  /// Never blocks and never runs the reader on this thread.
  void push(Event event);
  /// The reader gets `ended` next; what still waits is dropped.
  void end();
  /// Everything that waits now; sleeps until there is something or a heartbeat is due. Goes on on
  /// the executor.
  Task<Batch> wait();

 private:
  struct State {
    std::deque<Event> events;
    bool lost = false;
    uint64_t lost_position = 0;
    bool ended = false;
    std::optional<Completion<bool>> waiter;
  };
  static std::optional<Batch> take(State& state);
  void wake(State& state);
  static void tick(std::weak_ptr<EventQueue> queue, Executor& executor, Duration period);

  Executor& executor_;
  const size_t limit_;
  Guarded<State> state_;
};

}  // namespace aster::primary
