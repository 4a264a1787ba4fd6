#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "cache/writeback_journal.h"
#include "fuse/vfs/kept_content.h"
#include "fuse/vfs/lifeline.h"
#include "fuse/vfs/write_leases.h"
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
  /// The primary has leases: names and attributes are changed here only under write leases, or of
  /// what the primary does not know yet.
  bool leases = false;
};

/// The primary as a mount sees it: changes of names and attributes that nobody else can see are
/// made here. They are answered at once, noted in the journal if there is one (durability=local),
/// and sent to the primary in order, many in one batch. Everything else goes to `next`; what needs
/// something that the primary does not know yet waits until it does.
///
/// What nobody else can see: what the primary does not know yet, and what is leased to this mount
/// for writing (fs::LeaseRequest), while the lease is held. A directory is asked for at the second
/// change of a name within a moment, a file when its data could wait in the journal; what was made
/// under a lease is leased, too. When somebody wants something back, its changes and its data are
/// sent, and it is given back; for a while it is not asked for again. A primary without leases
/// gives the directories that this mount made and that no event told of.
///
/// Inode numbers come from a range that the primary reserved, so they never change. A note carries
/// the operation id that its operation is sent under, now or after a crash: it is done once.
/// What comes too late (the lease was lost, or the mount was killed) takes nothing from others: a
/// name that somebody else took stays theirs, ours gets the name of a conflict copy; a name that
/// leads elsewhere by now is neither removed nor moved.
///
/// The life of a change: noted (in order, not synchronised; the next durable write to the journal,
/// or WritebackJournal::sync, makes it durable) -> sent -> answered -> note removed.
/// Without a journal (durability=remote) a change is in memory until it is sent, a moment later:
/// fsync and close wait for it with sent(), kill -9 takes what nobody waited for, the last ones
/// first. Then nothing is believed without a lease, also when the primary is down.
///
/// Thread-safe. `next`, `journal`, `executor` and `clock` must outlive it. The clock must go on
/// while the machine sleeps.
class LocalNames final : public PrimaryClient, public Reachability, public WriteLeases {
 public:
  /// `journal` may be null.
  LocalNames(LocalNamesOptions options, PrimaryClient& next, WritebackJournal* journal,
             Executor& executor, const Clock& clock);
  /// Waits for a request under way.
  ~LocalNames() override;

  /// Takes up and sends what an earlier mount noted, then reserves inode numbers; without a journal
  /// it does nothing. How many names were sent.
  Task<Result<size_t>> prepare();
  /// No more attempts to send.
  void stop();
  /// stop(), and waits for what is under way; needs neither KeptContent nor `next` any more then.
  void close();
  /// Whose data is sent before a lease is given back. Before the first operation.
  /// `direct`: the primary without the queues of `next`, for what somebody waits for: whoever waits
  /// for others in these queues must not keep them waiting for us.
  void serve(KeptContent& content, PrimaryClient& direct) {
    content_ = &content;
    direct_ = &direct;
  }

  // ---- the event stream, in its order (local_leases.cpp)
  /// Others changed something: to be called before anybody else hears of it.
  void on_event(const fs::Invalidation& event);
  void on_reset();
  void on_lease(uint64_t lease);
  void on_state(bool alive);
  void on_wanted(const fs::LeaseWanted& wanted);

  // ---- WriteLeases (local_leases.cpp)
  Task<bool> cover(InodeNo ino) override;
  bool covers(InodeNo ino) const override;
  void unreachable() override;
  LeaseState lease_state() const override;

  // ---- WriteLeases (local_names_send.cpp)
  bool unsent(InodeNo ino) const override;
  void hurry() override;
  Task<Result<void>> sent(InodeNo ino, std::chrono::milliseconds deadline) override;

  // ---- PrimaryClient
  Task<Result<fs::BatchAnswer>> batch(std::vector<fs::BatchItem> items,
                                      std::chrono::milliseconds deadline) override;
  Task<Result<fs::SessionAnswer>> open_session(fs::SessionRequest request) override;
  Task<Result<void>> close_session() override;
  Task<Result<void>> follow_events(EventHandlers handlers, CancelToken cancel) override;
  Task<Result<fs::AckAnswer>> acknowledge(fs::Ack ack, std::chrono::milliseconds deadline) override;
  Task<Result<fs::LeaseAnswer>> lease(fs::LeaseRequest request,
                                      std::chrono::milliseconds deadline) override {
    return next_.lease(std::move(request), deadline);
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
  /// A directory of which all names are known.
  struct Own {
    std::optional<fs::Attr> attr;  ///< nullopt: ask the primary
    std::unordered_map<std::string, uint64_t> children;
  };
  /// A write lease that is being asked for.
  struct Asking {
    bool cancelled = false;                 // somebody wants it already
    std::unordered_set<uint64_t> touched;   // inodes changed by way of the primary meanwhile
    std::vector<Completion<bool>> waiting;  // for the answer
    std::optional<Completion<bool>> idle;   // set when no change of it is under way
  };
  /// When it pays to ask for one.
  struct Pace {
    SteadyTime last{};
    unsigned changes = 0;  // shortly after one another
    SteadyTime not_before{};
    Duration pause{};
    uint64_t given = 0;  // State::given when it was taken
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
    std::optional<Completion<bool>> gathering;  // set: the next batch leaves at once

    uint64_t lease = 0;          // last noticed
    bool stream = false;         // it lives
    SteadyTime trusted_until{};  // the lease is held until then
    SteadyTime down_until{};     // the primary was down a moment ago: it tells nobody anything
    SteadyTime offline_until{};  // it could not be reached
    bool ever_took = false;
    /// Leased for writing; the attributes, unless the primary has to be asked.
    std::unordered_map<uint64_t, std::optional<fs::Attr>> leased;
    bool giving_all = false;
    std::unordered_set<uint64_t> giving;  // wanted: nothing more is changed here
    std::unordered_map<uint64_t, Asking> asking;
    std::unordered_map<uint64_t, Pace> pace;
    std::unordered_map<uint64_t, size_t> forwarding;  // changes under way, by inode
    uint64_t forwards = 0;                            // counts beginnings and ends of these
    uint64_t taken = 0;
    uint64_t given_back = 0;
  };
  using Local = std::optional<Result<fs::Answer>>;  // nullopt: ask the primary

  // local_names.cpp: what is answered here
  std::optional<fs::BatchAnswer> answer_here(const std::vector<fs::BatchItem>& items);
  Local local(const fs::Operation& operation);
  Local local(State& state, const fs::Create& op);
  Local local(State& state, const fs::Lookup& op);
  Local local(State& state, const fs::GetAttr& op);
  Local local(State& state, const fs::SetAttr& op);
  bool enqueue(State& state, fs::Operation operation, std::initializer_list<InodeNo> inodes);
  bool takes_more(const State& state) const;
  uint64_t needed_for(const State& state, const fs::Operation& operation) const;
  Task<Result<fs::BatchAnswer>> forward(std::vector<fs::BatchItem> items, SteadyTime until);
  void note_forwarded(State& state, const fs::Operation& operation,
                      const Result<fs::Answer>& answer);
  void refill(State& state, const fs::Attr& attr) const;
  void made_by_primary(State& state, const fs::Create& create, const fs::Attr& attr);
  void doubt_forwarded(State& state, const fs::Operation& operation,
                       const Result<fs::Answer>& answer);

  // local_names_change.cpp: other changes of names here
  Local local(State& state, const fs::Unlink& op);
  Local local(State& state, const fs::Rmdir& op);
  Local local(State& state, const fs::Link& op);
  Local local(State& state, const fs::Rename& op);
  Own* own_directory(State& state, InodeNo ino) const;
  std::optional<fs::Attr> attr_here(const State& state, InodeNo ino) const;
  void set_attr_here(State& state, const fs::Attr& attr) const;
  void touch_directory(State& state, InodeNo ino, int64_t now, int links) const;
  fs::Removed drop_link(State& state, fs::Attr attr, int64_t now) const;

  // local_leases.cpp
  bool believed(const State& state) const;
  bool ours(const State& state, InodeNo ino) const;
  struct Concern {
    std::vector<InodeNo> directories;  // of which it changes names
    std::vector<InodeNo> all;
  };
  /// True when something has changed, and it may be answered here now. Back at `until` at the
  /// latest, whatever the primary does.
  Task<bool> prepare_for(Concern concern, SteadyTime until);
  bool worth_asking(State& state, InodeNo ino, bool directory);
  Task<void> take(InodeNo ino);
  void take_in_background(InodeNo ino);
  std::vector<InodeNo> taken(State& state, InodeNo ino, uint64_t lease,
                             const Result<fs::LeaseAnswer>& answer);
  void install(State& state, const fs::LeaseAnswer& answer, const Asking& asking);
  Task<void> check_down();
  void give_in_background(std::vector<InodeNo> inodes, bool all);
  Task<void> give_back(std::vector<InodeNo> inodes, bool all);
  Task<Result<void>> send_kept(std::vector<InodeNo> inodes, uint64_t lease);
  Task<void> tell_given(std::vector<InodeNo> inodes, bool all, uint64_t lease);
  void forget_leases(State& state);

  // local_names_send.cpp: what is sent
  Task<Result<void>> wait_for(uint64_t number, SteadyTime until);
  void kick(State& state);
  void hurry(State& state);
  uint64_t unsettled(const State& state, InodeNo ino) const;
  Task<void> send();
  std::vector<fs::BatchItem> next_items();
  bool take_in(const std::vector<Result<fs::Answer>>& answers);
  bool settle_first(State& state, const Result<fs::Answer>& answer);
  static void forget_names_of(State& state, const fs::Operation& operation);
  void known_now(State& state, const fs::Create& create);
  bool settle_refused(State& state, Queued& first, const Result<fs::Answer>& answer);
  void take_conflict_name(State& state, Queued& first, bool lost_parent);
  void drop_first(State& state);
  void reserve_more(State& state);
  Task<Result<void>> reserve();
  Task<void> reserve_in_background();
  Result<size_t> load_notes();

  const LocalNamesOptions options_;
  PrimaryClient& next_;
  WritebackJournal* const journal_;
  Executor& executor_;
  const Clock& clock_;
  PrimaryClient& way(const State& state) const;

  KeptContent* content_ = nullptr;
  PrimaryClient* direct_ = nullptr;
  Guarded<State> state_;
  std::shared_ptr<Lifeline> lifeline_ = std::make_shared<Lifeline>();
};

}  // namespace aster
