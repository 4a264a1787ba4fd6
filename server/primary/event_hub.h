#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/fs/lease_messages.h"
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
  /// Where a session of this user is; nullopt when there is none.
  std::optional<uint64_t> workspace_of(UserId user, SessionId id) const;
  /// Of one user in one workspace (0: in all).
  std::vector<SessionId> sessions_of(UserId user, uint64_t workspace) const;
  /// Not heard of for longer than `timeout`. A stream that takes its heartbeats counts as heard.
  std::vector<Session> silent(Duration timeout) const;

  struct Change {
    uint64_t workspace = 0;
    SessionId cause;
    uint64_t position = 0;
  };
  /// Tells every session of the workspace but the one that caused it; those in `recalled` (sorted)
  /// are told that somebody waits for them. Calls come in the order of positions (from the
  /// database's writer thread).
  void publish(const Change& change, const fs::Invalidation& invalidation,
               std::span<const SessionId> recalled = {});
  /// A new queue for the session, which gets everything published from now on; the previous one
  /// ends. Null when the session is not there.
  std::shared_ptr<EventQueue> attach(SessionId id);
  /// Puts a notice of this lease behind what waits for the session. Nothing without a stream.
  void announce(SessionId id, uint64_t lease);
  /// Likewise that somebody waits for what the session keeps to itself.
  void announce(SessionId id, const fs::LeaseWanted& wanted);
  void end_streams();
  /// Called after a session was removed, with no lock held. Set before the first session.
  void on_end(std::function<void(SessionId)> action) { on_end_ = std::move(action); }

  struct Stats {
    size_t sessions = 0;
    size_t streams = 0;
  };
  Stats stats() const;

  const Guid& epoch() const noexcept { return options_.epoch; }

 private:
  void notify(SessionId id, std::string text);
  struct Entry {
    Session session;
    SteadyTime heard;
    std::shared_ptr<EventQueue> queue;
  };

  const Options options_;
  Executor& executor_;
  const Clock& clock_;
  std::function<void(SessionId)> on_end_;
  Guarded<std::unordered_map<SessionId, Entry>> sessions_;
};

/// "event: inval" (or "event: recall") with the invalidation resumable at `cursor`.
std::string render_invalidation(fs::Invalidation invalidation, const EventCursor& cursor,
                                bool recall = false);
/// "event: lease"
std::string render_lease(uint64_t lease);
/// "event: want"
std::string render_wanted(const fs::LeaseWanted& wanted);
/// "event: reset", followed by an invalidation of nothing that tells where to resume.
std::string render_reset(const EventCursor& cursor);

}  // namespace aster::primary
