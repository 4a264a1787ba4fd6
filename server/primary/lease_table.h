#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/executor.h"
#include "protocol/base/guarded.h"
#include "protocol/fs/lease_messages.h"
#include "protocol/fs/messages.h"

namespace aster::primary {

/// What an answer lets its reader believe.
enum class LeaseMode : uint8_t {
  read = 1,   ///< until recalled; any number of sessions
  write = 2,  ///< one session keeps changes to itself; who else asks goes through want()
};
struct LeaseWish {
  InodeNo ino;
  bool names = false;  ///< the names below the directory, else the attributes of the inode
  LeaseMode mode = LeaseMode::read;
  InodeNo under;  ///< with `write`: only while this directory is leased to the session, too
};

/// One change waits for those who must forget something. Shared by the table and the waiter.
class Recall {
 public:
  /// True when everybody has acknowledged or lost its lease; false when the server stops and
  /// nothing is known. One waiter.
  const Completion<bool>& done() const { return done_; }
  /// Who is waited for, sorted; constant once changed() has returned.
  const std::vector<SessionId>& asked() const { return asked_; }

 private:
  friend class LeaseTable;
  size_t left_ = 0;  // under the table's lock
  std::vector<SessionId> asked_;
  Completion<bool> done_;
};
using RecallPtr = std::shared_ptr<Recall>;

/// Who believes what. In memory: after a restart the sessions of before are taken to hold
/// everything for one term. Thread-safe; never waits.
///
/// A session holds what it was told under its current lease, a number. The lease runs out one term
/// after the arrival of the last Ack that renewed it (the client counts from the sending, so it
/// stops believing earlier). Before the first Ack it holds nothing. It is *lost* when a change
/// could not wait for it any longer: the session gets another number, and holds nothing.
///
/// An answer and a change race: the answer's snapshot may be older than the change and its lease be
/// noted later. Hence a reader takes a mark() before its snapshot, and grant() refuses when
/// something it saw has changed since; the second attempt reads within a Reading, during which
/// every change counts as conflicting.
class LeaseTable : public std::enable_shared_from_this<LeaseTable> {
 public:
  struct Options {
    Duration term = std::chrono::seconds(10);
    /// Leases of one session and of all. A session that would have more holds everything (each
    /// change in its workspace waits for it) until it loses its lease: memory stays bounded.
    size_t session_limit = 200'000;
    size_t total_limit = 1'000'000;
    /// Changed inodes that are remembered for mark().
    size_t recent_limit = 16'384;
  };
  /// Puts the notice of a lease behind everything else in the stream of a session. Called under the
  /// table's lock.
  using Announce = std::function<void(SessionId, uint64_t lease)>;
  /// Tells a session in its stream that somebody waits for what it holds. Likewise.
  using Ask = std::function<void(SessionId, const fs::LeaseWanted&)>;
  LeaseTable(Options options, Executor& executor, const Clock& clock, Announce announce);

  /// Set before the first session.
  void on_want(Ask ask) { ask_ = std::move(ask); }

  /// `restarted`: lived before this server started, and may believe anything for one term.
  /// `writes`: and may have kept changes of anything to itself.
  void open(SessionId session, uint64_t workspace, bool restarted, bool writes = false);
  /// Nobody waits for it any more.
  void close(SessionId session);
  /// The number for its stream's notice; 0 when the session is not there.
  uint64_t lease_of(SessionId session) const;

  // ---- reads
  uint64_t mark() const;
  /// False, and nothing granted: something of it changed after `mark`, read again.
  bool grant(SessionId session, uint64_t mark, std::span<const LeaseWish> wishes);
  /// While it lives every change waits for the session, and grant() without a mark is right.
  class Reading {
   public:
    Reading(LeaseTable& table, SessionId session);
    ~Reading();
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;
    void grant(std::span<const LeaseWish> wishes);

   private:
    LeaseTable& table_;
    const SessionId session_;
  };

  // ---- changes; called in the order of positions, from the database's writer thread
  struct Change {
    uint64_t workspace = 0;
    SessionId cause;
    uint64_t position = 0;
    const fs::Invalidation* told = nullptr;  ///< null: nothing changed, `granted` only
    std::span<const LeaseWish> granted;      ///< what the answer tells `cause`
  };
  /// Before the event is published: those that are asked are told to hurry. Null when nobody has to
  /// be waited for.
  RecallPtr changed(const Change& change);
  /// For an answer that is repeated: everybody who has not acknowledged what happened so far.
  /// `newest`: position in the journal.
  RecallPtr unacknowledged(uint64_t workspace, SessionId cause, uint64_t newest);

  // ---- acknowledgements
  struct Acked {
    uint64_t lease = 0;
    uint64_t position = 0;
    std::vector<uint64_t> done;
  };
  fs::AckAnswer acknowledge(SessionId session, const Acked& acked);
  // ---- write leases (lease_table_writes.cpp)
  /// An inode is leased for writing to one session at most, whole: attributes, content, names. The
  /// lease ends when it is given back, or with the session's lease.
  ///
  /// True while anything may be leased for writing: else want() has nothing to do.
  bool writing() const { return writing_ > 0; }
  /// All or nothing. Called from the database's writer thread, in a transaction whose commit tells
  /// a change of all of them: that makes the others forget what they read. False when another
  /// session holds one, or wanted one a moment ago, or `lease` is not the session's.
  bool take(SessionId session, uint64_t lease, std::span<const InodeNo> inodes);
  /// What they kept to themselves is here now.
  void give(SessionId session, std::span<const InodeNo> inodes);
  void give_all(SessionId session);
  /// Calls back what other sessions than `cause` keep of these. Null when nobody does.
  RecallPtr want(SessionId cause, uint64_t workspace, std::span<const InodeNo> inodes);
  /// Calls back everything that anybody in the workspace keeps: for rules that hold below a
  /// directory, so that whoever keeps something learns of them. Null when nobody does.
  RecallPtr want_all(uint64_t workspace);
  /// What is being called back from the session, for the beginning of its stream.
  fs::LeaseWanted wanted(SessionId session) const;

  /// Takes leases away that ran out while somebody waits; a timer does it, tests may.
  void expire();

  /// Ends every wait with false, also those that come later.
  void stop();

  struct Stats {
    size_t leases = 0;
    size_t writes = 0;   ///< inodes leased for writing
    size_t waiting = 0;  ///< changes
    uint64_t recalls = 0;
    uint64_t lost = 0;
  };
  Stats stats() const;

 private:
  struct Pending {
    SteadyTime since;
    std::vector<RecallPtr> recalls;
  };
  struct Session {
    uint64_t workspace = 0;
    uint64_t lease = 0;
    std::unordered_set<uint64_t> writes;
    bool unsure = false;                 // may keep changes of anything to itself
    std::map<uint64_t, Pending> wanted;  // by inode; 0: everything
    SteadyTime end{};                    // of the lease; zero: its client has not taken it up yet
    SteadyTime coarse_until{};           // after a restart
    bool coarse = false;                 // too many leases
    size_t reading = 0;
    uint64_t told = 0;   // position of the last event for it
    uint64_t acked = 0;  // everything up to it was acknowledged
    bool timer = false;
    std::unordered_map<uint64_t, uint8_t> held;  // inode -> kAttributes, kNames
    std::map<uint64_t, Pending> pending;         // by position

    bool taken_up() const { return end != SteadyTime{}; }
  };
  struct State {
    std::unordered_map<SessionId, Session> sessions;
    std::unordered_map<uint64_t, std::vector<SessionId>> holders;  // by inode
    size_t leases = 0;
    uint64_t next_lease = 0;
    uint64_t sequence = 0;                          // of changes
    std::unordered_map<uint64_t, uint64_t> recent;  // inode -> sequence of its last change
    std::deque<std::pair<uint64_t, uint64_t>> recent_order;
    uint64_t forgotten = 0;  // changes up to this one are no longer in `recent`
    bool stopped = false;
    uint64_t recalls = 0;
    uint64_t lost = 0;
    std::unordered_map<uint64_t, SessionId> writers;     // by inode
    std::unordered_map<uint64_t, SteadyTime> contested;  // inode -> when it was wanted last
    size_t unsure = 0;                                   // sessions
  };

  void note_change(State& state, const fs::Invalidation& told);
  std::vector<SessionId> conflicting(State& state, const Change& change);
  void add(State& state, SessionId id, Session& session, const LeaseWish& wish);
  static void drop(State& state, SessionId id, Session& session, uint64_t ino, uint8_t bits);
  static void drop_all(State& state, SessionId id, Session& session);
  void wait_for(State& state, SessionId id, uint64_t position, const RecallPtr& recall);
  void lose(State& state, SessionId id, Session& session);
  void settle(Pending& pending, bool good);
  void count_writing(const State& state) { writing_ = state.writers.size() + state.unsure; }
  void inherit_write(State& state, SessionId id, Session& session, const LeaseWish& wish);
  void end_write(State& state, Session& session, uint64_t ino);
  void end_all_writes(State& state, Session& session);
  bool contested(State& state, std::span<const InodeNo> inodes);
  using Keepers = std::map<SessionId, std::vector<uint64_t>>;
  RecallPtr call_back(State& state, const Keepers& keepers);
  void call_back(State& state, SessionId id, const std::vector<uint64_t>& inodes,
                 const RecallPtr& recall);
  /// When the first of those began to wait that wait for the session; max: nobody does.
  static SteadyTime waiting_since(const Session& session);
  void set_timer(Session& session);
  bool holds_everything(const Session& session) const;

  const Options options_;
  Executor& executor_;
  const Clock& clock_;
  const Announce announce_;
  Ask ask_;
  Guarded<State> state_;
  std::atomic<size_t> writing_{0};
};

}  // namespace aster::primary
