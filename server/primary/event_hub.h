#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/fs/messages.h"
#include "server/primary/event_cursor.h"
#include "server/primary/event_queue.h"

namespace aster::primary {

/// Which sessions live, and what each of them is still to be told. Thread-safe, never blocks.
class EventHub {
 public:
  struct Options {
    Guid epoch;
    Duration heartbeat;
    size_t queue_limit = 4096;     ///< events waiting for one session
    size_t session_limit = 10000;  ///< sessions at a time
  };
  struct Session {
    SessionId id;
    UserId user;
    uint64_t workspace = 0;
  };
  EventHub(Options options, Executor& executor, const Clock& clock);

  /// False when there are too many.
  bool add(const Session& session);
  /// Ends its stream, too. False when it is not there.
  bool remove(SessionId id);
  /// True when it lives and is this user's in this workspace; it counts as heard of now.
  bool touch(const Session& session);
  /// Not heard of for longer than `timeout`. A stream that takes its heartbeats counts as heard.
  std::vector<Session> silent(Duration timeout) const;

  /// Tells every session of the workspace but the one that caused it. Calls come in the order of
  /// positions (from the database's writer thread).
  void publish(uint64_t workspace, SessionId cause, uint64_t position,
               const fs::Invalidation& invalidation);
  /// A new queue for the session, which gets everything published from now on; the previous one
  /// ends. Null when the session is not there.
  std::shared_ptr<EventQueue> attach(SessionId id);
  void end_streams();

  const Guid& epoch() const noexcept { return options_.epoch; }

 private:
  struct Entry {
    Session session;
    SteadyTime heard;
    std::shared_ptr<EventQueue> queue;
  };

  const Options options_;
  Executor& executor_;
  const Clock& clock_;
  Guarded<std::unordered_map<SessionId, Entry>> sessions_;
};

/// "event: inval" with the invalidation resumable at `cursor`.
std::string render_invalidation(fs::Invalidation invalidation, const EventCursor& cursor);
/// "event: reset", followed by an invalidation of nothing that tells where to resume.
std::string render_reset(const EventCursor& cursor);

}  // namespace aster::primary
