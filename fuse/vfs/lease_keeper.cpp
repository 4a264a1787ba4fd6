#include "fuse/vfs/lease_keeper.h"

#include <algorithm>
#include <utility>

#include "protocol/base/log.h"

namespace aster {
namespace {

/// Of the term: for clocks that run at different rates, and for the kernel, which counts in ticks.
constexpr double kTrusted = 0.9;
constexpr int kRenewalsPerTerm = 3;
constexpr std::chrono::milliseconds kRetry{200};
constexpr std::chrono::milliseconds kAckDeadline{5000};

}  // namespace

struct LeaseKeeper::Shared {
  Shared(PrimaryClient& p, Executor& e, const Clock& c, Duration t, Actions a)
      : primary(p), executor(e), clock(c), term(t), actions(std::move(a)) {}

  PrimaryClient& primary;
  Executor& executor;
  const Clock& clock;
  const Duration term;
  const Actions actions;

  struct Event {
    uint64_t number;
    std::string cursor;
    bool urgent;
    bool done = false;
    bool told = false;
  };
  struct State {
    uint64_t lease = 0;  // last noticed
    bool ready = false;  // the stream lives and has caught up
    bool taken = false;  // an Ack under `lease` was answered
    bool wanted = false;
    bool under_way = false;
    bool stopped = false;
    uint64_t next_number = 0;
    std::deque<Event> events;  // not acknowledged in turn yet
    std::string cursor;        // everything up to it is done
  };
  Guarded<State> state;

  void carried_out(const std::shared_ptr<Shared>& self, uint64_t number);
  fs::Ack next_ack(State& s) const;
};

LeaseKeeper::LeaseKeeper(PrimaryClient& primary, Executor& executor, const Clock& clock,
                         Duration term, Actions actions)
    : shared_(std::make_shared<Shared>(primary, executor, clock, term, std::move(actions))) {
  if (enabled()) tick(shared_);
}

LeaseKeeper::~LeaseKeeper() {
  stop();
}

bool LeaseKeeper::enabled() const {
  return shared_->term > Duration::zero();
}

void LeaseKeeper::stop() {
  shared_->state.lock()->stopped = true;
}

DropToken LeaseKeeper::event(const std::string& cursor, bool recalled) {
  if (!enabled()) return nullptr;
  uint64_t number = 0;
  {
    auto state = shared_->state.lock();
    number = ++state->next_number;
    // Those of before the stream has caught up do not say whether somebody waits.
    state->events.push_back({number, cursor, recalled || !state->ready});
  }
  // Points to something, because an empty token stands for none.
  return {shared_.get(),
          [shared = shared_, number](void*) { shared->carried_out(shared, number); }};
}

DropToken LeaseKeeper::barrier() {
  std::string cursor;
  {
    auto state = shared_->state.lock();
    cursor = state->events.empty() ? state->cursor : state->events.back().cursor;
  }
  return event(cursor, true);
}

void LeaseKeeper::Shared::carried_out(const std::shared_ptr<Shared>& self, uint64_t number) {
  bool urgent = false;
  {
    auto s = state.lock();
    const auto found = std::find_if(s->events.begin(), s->events.end(),
                                    [&](const Event& e) { return e.number == number; });
    if (found == s->events.end()) return;
    found->done = true;
    urgent = found->urgent;
    while (!s->events.empty() && s->events.front().done) {
      s->cursor = std::move(s->events.front().cursor);
      s->events.pop_front();
    }
    if (urgent) s->wanted = true;
  }
  // Not here: whoever lets go of a token has better things to do, and may hold a lock.
  if (urgent) executor.post([self] { pump(self); });
}

fs::Ack LeaseKeeper::Shared::next_ack(State& s) const {
  fs::Ack ack;
  ack.lease = s.lease;
  ack.cursor = s.cursor;
  for (Event& event : s.events) {
    if (!event.done || event.told || ack.done.size() >= fs::kAckDoneMax) continue;
    ack.done.push_back(event.cursor);
    event.told = true;
  }
  return ack;
}

void LeaseKeeper::pump(std::shared_ptr<Shared> shared) {
  fs::Ack ack;
  {
    auto s = shared->state.lock();
    if (s->stopped || !s->wanted || s->under_way || s->lease == 0) return;
    s->wanted = false;
    s->under_way = true;
    ack = shared->next_ack(*s);
  }
  const uint64_t lease = ack.lease;
  const SteadyTime sent = shared->clock.steady();
  start<Result<fs::AckAnswer>>(shared->primary.acknowledge(std::move(ack), kAckDeadline),
                               [shared, lease, sent](Result<fs::AckAnswer> answer) {
                                 answered(shared, lease, sent, answer);
                               });
}

void LeaseKeeper::answered(const std::shared_ptr<Shared>& shared, uint64_t lease, SteadyTime sent,
                           const Result<fs::AckAnswer>& answer) {
  {
    auto s = shared->state.lock();
    s->under_way = false;
    if (s->stopped) return;
    if (!answer.ok()) {
      // What was told may not have arrived.
      for (Shared::Event& event : s->events) event.told = false;
      s->wanted = true;
    } else if (answer->lease != lease) {
      // Given up by the primary. The notice of the next one comes behind the events before it.
      if (s->lease == lease) {
        s->ready = false;
        shared->actions.believe(SteadyTime{});
      }
    } else if (s->ready && s->lease == lease && answer->lease_ms > 0) {
      // What was told before the primary began to count is not covered.
      if (!std::exchange(s->taken, true)) shared->actions.forget();
      const auto term = std::chrono::duration<double, std::milli>(answer->lease_ms * kTrusted);
      shared->actions.believe(sent + std::chrono::duration_cast<Duration>(term));
    }
  }
  const Duration pause = answer.ok() ? Duration::zero() : Duration(kRetry);
  shared->executor.post_after(pause, [shared] { pump(shared); });
}

void LeaseKeeper::noticed(uint64_t lease) {
  if (!enabled()) return;
  {
    auto s = shared_->state.lock();
    if (s->lease != lease) {
      ASTER_LOG(debug, "lease_noticed", {"lease", lease});
      s->lease = lease;
      s->taken = false;
      shared_->actions.believe(SteadyTime{});
      shared_->actions.forget();
    }
    s->ready = true;
    s->wanted = true;
  }
  pump(shared_);
}

void LeaseKeeper::stream_lost() {
  auto s = shared_->state.lock();
  s->ready = false;
  if (enabled()) shared_->actions.believe(SteadyTime{});
}

void LeaseKeeper::tick(std::weak_ptr<Shared> weak) {
  const auto shared = weak.lock();
  if (!shared || shared->state.lock()->stopped) return;
  {
    auto s = shared->state.lock();
    s->wanted = s->wanted || s->ready;
  }
  pump(shared);
  shared->executor.post_after(shared->term / kRenewalsPerTerm, [weak] { tick(weak); });
}

}  // namespace aster
