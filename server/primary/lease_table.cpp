#include "server/primary/lease_table.h"

#include <algorithm>
#include <utility>

#include "protocol/base/log.h"

namespace aster::primary {
namespace {

constexpr uint8_t kAttributes = 1;
constexpr uint8_t kNames = 2;

uint8_t bits_of(const LeaseWish& wish) {
  return wish.names ? kNames : kAttributes;
}

/// Numbers of another start of the server must not be taken for ours; exact in any JSON reader.
uint64_t first_lease() {
  uint64_t bits = 0;
  fill_random(reinterpret_cast<std::byte*>(&bits), sizeof bits);
  return (bits >> 16) | 1;
}

}  // namespace

LeaseTable::LeaseTable(Options options, Executor& executor, const Clock& clock, Announce announce)
    : options_(options), executor_(executor), clock_(clock), announce_(std::move(announce)) {
  state_.lock()->next_lease = first_lease();
}

void LeaseTable::open(SessionId id, uint64_t workspace, bool restarted, bool writes) {
  const auto state = state_.lock();
  Session& session = state->sessions[id];
  session.workspace = workspace;
  session.lease = state->next_lease++;
  if (restarted) session.end = session.coarse_until = clock_.steady() + options_.term;
  if (!restarted || !writes) return;
  session.unsure = true;
  ++state->unsure;
  count_writing(*state);
}

void LeaseTable::close(SessionId id) {
  const auto state = state_.lock();
  const auto found = state->sessions.find(id);
  if (found == state->sessions.end()) return;
  drop_all(*state, id, found->second);
  end_all_writes(*state, found->second);
  for (auto& [position, pending] : found->second.pending) settle(pending, true);
  state->sessions.erase(found);
}

uint64_t LeaseTable::lease_of(SessionId id) const {
  const auto state = state_.lock();
  const auto found = state->sessions.find(id);
  return found == state->sessions.end() ? 0 : found->second.lease;
}

uint64_t LeaseTable::mark() const {
  return state_.lock()->sequence;
}

bool LeaseTable::grant(SessionId id, uint64_t mark, std::span<const LeaseWish> wishes) {
  const auto state = state_.lock();
  const auto found = state->sessions.find(id);
  if (found == state->sessions.end() || !found->second.taken_up()) return true;
  if (mark < state->forgotten) return false;
  for (const LeaseWish& wish : wishes) {
    const auto changed = state->recent.find(wish.ino.value);
    if (changed != state->recent.end() && changed->second > mark) return false;
  }
  for (const LeaseWish& wish : wishes) add(*state, id, found->second, wish);
  return true;
}

LeaseTable::Reading::Reading(LeaseTable& table, SessionId session)
    : table_(table), session_(session) {
  const auto state = table_.state_.lock();
  const auto found = state->sessions.find(session_);
  if (found != state->sessions.end()) ++found->second.reading;
}

LeaseTable::Reading::~Reading() {
  const auto state = table_.state_.lock();
  const auto found = state->sessions.find(session_);
  if (found != state->sessions.end() && found->second.reading > 0) --found->second.reading;
}

void LeaseTable::Reading::grant(std::span<const LeaseWish> wishes) {
  const auto state = table_.state_.lock();
  const auto found = state->sessions.find(session_);
  if (found == state->sessions.end()) return;
  for (const LeaseWish& wish : wishes) table_.add(*state, session_, found->second, wish);
}

void LeaseTable::add(State& state, SessionId id, Session& session, const LeaseWish& wish) {
  if (session.coarse || !session.taken_up()) return;
  const auto [held, added] = session.held.try_emplace(wish.ino.value, uint8_t{0});
  if (added) {
    if (session.held.size() > options_.session_limit || state.leases >= options_.total_limit) {
      session.held.erase(held);
      drop_all(state, id, session);
      session.coarse = true;
      ASTER_LOG(info, "leases_coarse", {"session", id.value});
      return;
    }
    ++state.leases;
    state.holders[wish.ino.value].push_back(id);
  }
  held->second |= bits_of(wish);
}

void LeaseTable::drop(State& state, SessionId id, Session& session, uint64_t ino, uint8_t bits) {
  const auto held = session.held.find(ino);
  if (held == session.held.end()) return;
  held->second &= static_cast<uint8_t>(~bits);
  if (held->second != 0) return;
  session.held.erase(held);
  --state.leases;
  const auto holders = state.holders.find(ino);
  std::erase(holders->second, id);
  if (holders->second.empty()) state.holders.erase(holders);
}

void LeaseTable::drop_all(State& state, SessionId id, Session& session) {
  for (const auto& [ino, bits] : session.held) {
    const auto holders = state.holders.find(ino);
    std::erase(holders->second, id);
    if (holders->second.empty()) state.holders.erase(holders);
  }
  state.leases -= session.held.size();
  session.held.clear();
}

bool LeaseTable::holds_everything(const Session& session) const {
  if (!session.taken_up()) return false;
  return session.coarse || session.reading > 0 || clock_.steady() < session.coarse_until;
}

void LeaseTable::note_change(State& state, const fs::Invalidation& told) {
  ++state.sequence;
  const auto note = [&](InodeNo ino) {
    state.recent[ino.value] = state.sequence;
    state.recent_order.emplace_back(ino.value, state.sequence);
  };
  for (const fs::Invalidation::Inode& inode : told.inodes) note(inode.ino);
  for (const fs::Invalidation::Entry& entry : told.entries) note(entry.parent);
  while (state.recent_order.size() > options_.recent_limit) {
    const auto [ino, sequence] = state.recent_order.front();
    state.recent_order.pop_front();
    state.forgotten = sequence;
    const auto found = state.recent.find(ino);
    if (found != state.recent.end() && found->second == sequence) state.recent.erase(found);
  }
}

std::vector<SessionId> LeaseTable::conflicting(State& state, const Change& change) {
  std::vector<SessionId> ids;
  const auto take = [&](uint64_t ino, uint8_t bits) {
    const auto holders = state.holders.find(ino);
    if (holders == state.holders.end()) return;
    for (const SessionId id : holders->second) {
      if (id != change.cause && (state.sessions.at(id).held.at(ino) & bits) != 0) ids.push_back(id);
    }
  };
  for (const fs::Invalidation::Inode& inode : change.told->inodes) {
    take(inode.ino.value, kAttributes);
  }
  for (const fs::Invalidation::Entry& entry : change.told->entries)
    take(entry.parent.value, kNames);
  for (auto& [id, session] : state.sessions) {
    if (session.workspace != change.workspace || id == change.cause) continue;
    session.told = change.position;
    if (holds_everything(session)) ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

RecallPtr LeaseTable::changed(const Change& change) {
  const auto state = state_.lock();
  RecallPtr recall;
  if (change.told != nullptr) {
    note_change(*state, *change.told);
    recall = std::make_shared<Recall>();
    for (const SessionId id : conflicting(*state, change)) {
      // The event makes it forget the attributes, but only one of the names.
      for (const fs::Invalidation::Inode& inode : change.told->inodes) {
        drop(*state, id, state->sessions.at(id), inode.ino.value, kAttributes);
      }
      for (const fs::Invalidation::Entry& entry : change.told->entries) {
        if (!entry.name.empty()) continue;
        drop(*state, id, state->sessions.at(id), entry.parent.value, kNames);
      }
      wait_for(*state, id, change.position, recall);
    }
  }
  const auto cause = state->sessions.find(change.cause);
  if (cause != state->sessions.end()) {
    for (const LeaseWish& wish : change.granted) {
      if (wish.mode == LeaseMode::write) {
        inherit_write(*state, change.cause, cause->second, wish);
      } else {
        add(*state, change.cause, cause->second, wish);
      }
    }
  }
  if (!recall || recall->left_ == 0) return nullptr;
  ++state->recalls;
  return recall;
}

RecallPtr LeaseTable::unacknowledged(uint64_t workspace, SessionId cause, uint64_t newest) {
  const auto state = state_.lock();
  const auto recall = std::make_shared<Recall>();
  for (auto& [id, session] : state->sessions) {
    if (session.workspace != workspace || id == cause) continue;
    if (!session.pending.empty()) {
      wait_for(*state, id, session.pending.rbegin()->first, recall);
    } else if (clock_.steady() < session.coarse_until) {
      const uint64_t position = session.told != 0 ? session.told : newest;
      if (session.acked < position) wait_for(*state, id, position, recall);
    }
  }
  return recall->left_ == 0 ? nullptr : recall;
}

void LeaseTable::wait_for(State& state, SessionId id, uint64_t position, const RecallPtr& recall) {
  Session& session = state.sessions.at(id);
  const SteadyTime now = clock_.steady();
  if (session.end <= now) {
    lose(state, id, session);
    return;
  }
  ++recall->left_;
  recall->asked_.push_back(id);
  if (state.stopped) {
    recall->done_.set(false);
    return;
  }
  Pending& pending = session.pending.try_emplace(position, Pending{now, {}}).first->second;
  pending.recalls.push_back(recall);
  set_timer(session);
}

void LeaseTable::settle(Pending& pending, bool good) {
  for (const RecallPtr& recall : pending.recalls) {
    if (good && --recall->left_ > 0) continue;
    // Elsewhere: who waits must not go on under our lock, nor on the database's writer thread.
    executor_.post([recall, good] { recall->done_.set(good); });
  }
  pending.recalls.clear();
}

void LeaseTable::lose(State& state, SessionId id, Session& session) {
  drop_all(state, id, session);
  end_all_writes(state, session);
  session.lease = state.next_lease++;
  session.end = SteadyTime{};
  session.coarse = false;
  ++state.lost;
  for (auto& [position, pending] : session.pending) settle(pending, true);
  session.pending.clear();
  announce_(id, session.lease);
}

fs::AckAnswer LeaseTable::acknowledge(SessionId id, const Acked& acked) {
  const auto state = state_.lock();
  const auto found = state->sessions.find(id);
  if (found == state->sessions.end()) return {};
  Session& session = found->second;
  if (acked.lease != session.lease) return {session.lease, 0};
  const auto end = session.pending.upper_bound(acked.position);
  for (auto at = session.pending.begin(); at != end; ++at) settle(at->second, true);
  session.pending.erase(session.pending.begin(), end);
  for (const uint64_t position : acked.done) {
    const auto one = session.pending.find(position);
    if (one == session.pending.end()) continue;
    settle(one->second, true);
    session.pending.erase(one);
  }
  session.acked = std::max(session.acked, acked.position);
  // Who does not acknowledge must not hold others up for longer by renewing.
  const SteadyTime now = clock_.steady();
  SteadyTime until = now + options_.term;
  const SteadyTime since = waiting_since(session);
  if (since != SteadyTime::max()) until = std::min(until, since + options_.term);
  if (until <= now) return {session.lease, 0};
  session.end = std::max(session.end, until);
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - now);
  return {session.lease, static_cast<uint32_t>(left.count())};
}

void LeaseTable::set_timer(Session& session) {
  if (std::exchange(session.timer, true)) return;
  const Duration left = std::max(Duration::zero(), session.end - clock_.steady());
  executor_.post_after(left + std::chrono::milliseconds(1), [weak = weak_from_this()] {
    if (const auto table = weak.lock()) table->expire();
  });
}

void LeaseTable::expire() {
  const auto state = state_.lock();
  const SteadyTime now = clock_.steady();
  for (auto& [id, session] : state->sessions) {
    const bool timed = std::exchange(session.timer, false);
    if (!timed || (session.pending.empty() && session.wanted.empty())) continue;
    if (session.end > now) {
      set_timer(session);  // renewed meanwhile
      continue;
    }
    ASTER_LOG(warn, "lease_lost", {"session", id.value}, {"unacknowledged", session.pending.size()},
              {"not_given_back", session.wanted.size()});
    lose(*state, id, session);
  }
}

void LeaseTable::stop() {
  const auto state = state_.lock();
  state->stopped = true;
  for (auto& [id, session] : state->sessions) {
    for (auto& [position, pending] : session.pending) settle(pending, false);
    session.pending.clear();
    for (auto& [ino, wanted] : session.wanted) settle(wanted, false);
    session.wanted.clear();
  }
}

LeaseTable::Stats LeaseTable::stats() const {
  const auto state = state_.lock();
  Stats stats{state->leases, state->writers.size(), 0, state->recalls, state->lost};
  for (const auto& [id, session] : state->sessions) {
    stats.waiting += session.pending.size() + session.wanted.size();
  }
  return stats;
}

}  // namespace aster::primary
