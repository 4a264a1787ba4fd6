#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "cache/writeback_journal.h"
#include "fuse/vfs/lifeline.h"
#include "protocol/base/clock.h"
#include "protocol/base/executor.h"
#include "protocol/base/guarded.h"
#include "protocol/client/primary_client.h"
#include "protocol/client/reachability.h"

namespace aster {

struct LocalNamesOptions {
  std::string client;  ///< part of the names of conflict copies
  InodeNo root;
  std::chrono::milliseconds timeout{30000};  ///< of one request
  /// False: only what an earlier mount noted is sent; nothing new is answered here.
  bool take_new = true;
};

/// The primary as a mount with durability=local sees it: new names in directories that this mount
/// made itself, and that nobody else has touched since, are made here. They are answered at once,
/// noted in the journal, and sent to the primary in order, many in one batch. Everything else goes
/// to `next`; what needs an inode that the primary does not know yet waits until it does.
///
/// Inode numbers come from a range that the primary reserved, so they never change. A note carries
/// the operation id that its operation is sent under, now or after a crash: it is done once.
/// A name that somebody else took meanwhile stays theirs; ours gets the name of a conflict copy.
///
/// The life of a name: noted (in order, not synchronised; the next durable write to the journal, or
/// WritebackJournal::sync, makes it durable) -> sent -> answered -> note removed.
///
/// Thread-safe. `next`, `journal`, `executor` and `clock` must outlive it.
class LocalNames final : public PrimaryClient, public Reachability {
 public:
  LocalNames(LocalNamesOptions options, PrimaryClient& next, WritebackJournal& journal,
             Executor& executor, const Clock& clock);
  /// Waits for a request under way.
  ~LocalNames() override;

  /// Takes up and sends what an earlier mount noted, then reserves inode numbers. How many names
  /// were sent.
  Task<Result<size_t>> prepare();
  /// No more attempts to send.
  void stop();
  /// Others changed something: to be called before anybody else hears of it.
  void on_event(const fs::Invalidation& event);
  void on_reset();

  // ---- PrimaryClient
  Task<Result<fs::BatchAnswer>> batch(std::vector<fs::BatchItem> items,
                                      std::chrono::milliseconds deadline) override;
  Task<Result<fs::SessionAnswer>> open_session(fs::SessionRequest request) override;
  Task<Result<void>> close_session() override;
  Task<Result<void>> follow_events(EventHandlers handlers, CancelToken cancel) override;
  Task<Result<fs::AckAnswer>> acknowledge(fs::Ack ack,
                                          std::chrono::milliseconds deadline) override {
    return next_.acknowledge(std::move(ack), deadline);
  }
  std::string absolute(const std::string& url) const override { return next_.absolute(url); }
  std::shared_ptr<void> gather() override { return next_.gather(); }
  Task<Result<void>> settle(std::chrono::milliseconds deadline) override;
  Task<bool> refuses_connections() override;

 private:
  struct Queued {
    uint64_t number = 0;  ///< counts from 1
    uint64_t note = 0;    ///< in the journal
    fs::BatchItem item;
    unsigned attempts = 0;  ///< names tried
  };
  /// A directory that this mount made: all its names are known.
  struct Own {
    std::optional<fs::Attr> attr;  ///< nullopt: ask the primary
    std::unordered_map<std::string, uint64_t> children;
  };
  struct State {
    std::deque<Queued> queue;                       // in order, not settled
    std::unordered_map<uint64_t, fs::Attr> unsent;  // inodes that the primary does not know
    std::unordered_map<uint64_t, uint64_t> last;    // inode -> last number that concerns it
    std::unordered_map<uint64_t, Own> own;
    std::multimap<uint64_t, Completion<bool>> waiting;  // by the number waited for
    uint64_t given = 0;                                 // last number
    uint64_t settled = 0;                               // all up to this one
    uint64_t next_ino = 0;
    uint64_t inos_left = 0;
    bool reserving = false;
    bool sending = false;
    bool stopped = false;
  };

  // local_names.cpp: what is answered here
  std::optional<Result<fs::Answer>> local(const fs::Operation& operation);
  std::optional<Result<fs::Answer>> local(State& state, const fs::Create& op);
  std::optional<Result<fs::Answer>> local(State& state, const fs::Lookup& op);
  std::optional<Result<fs::Answer>> local(State& state, const fs::GetAttr& op);
  std::optional<Result<fs::Answer>> local(State& state, const fs::SetAttr& op);
  bool enqueue(State& state, fs::Operation operation, InodeNo ino);
  static uint64_t needed_for(const State& state, const fs::Operation& operation);
  void note_forwarded(const fs::Operation& operation, const Result<fs::Answer>& answer);

  // local_names_send.cpp: what is sent
  Task<Result<void>> wait_for(uint64_t number, SteadyTime until);
  void kick(State& state);
  Task<void> send();
  std::vector<fs::BatchItem> next_items();
  bool take_in(const std::vector<Result<fs::Answer>>& answers);
  bool settle_first(State& state, const Result<fs::Answer>& answer);
  void take_conflict_name(State& state, Queued& first, bool lost_parent);
  void drop_first(State& state);
  void reserve_more(State& state);
  Task<Result<void>> reserve();
  Task<void> reserve_in_background();
  Result<size_t> load_notes();

  const LocalNamesOptions options_;
  PrimaryClient& next_;
  WritebackJournal& journal_;
  Executor& executor_;
  const Clock& clock_;
  Guarded<State> state_;
  std::shared_ptr<Lifeline> lifeline_ = std::make_shared<Lifeline>();
};

}  // namespace aster
