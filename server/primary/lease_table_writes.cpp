#include <algorithm>
#include <utility>

#include "protocol/base/log.h"
#include "server/primary/lease_table.h"

// Write leases of LeaseTable.
namespace aster::primary {
namespace {

/// What somebody wanted is not leased for writing again for this long: two sessions that change one
/// directory in turn are better off without.
constexpr std::chrono::milliseconds kContested{1000};
/// Contested inodes that are remembered.
constexpr size_t kContestedMax = 65536;

constexpr uint64_t kEverything = 0;

}  // namespace

SteadyTime LeaseTable::waiting_since(const Session& session) {
  SteadyTime since = SteadyTime::max();
  if (!session.pending.empty()) since = session.pending.begin()->second.since;
  for (const auto& [ino, wanted] : session.wanted) since = std::min(since, wanted.since);
  return since;
}

bool LeaseTable::contested(State& state, std::span<const InodeNo> inodes) {
  const SteadyTime now = clock_.steady();
  if (state.contested.size() > kContestedMax) {
    std::erase_if(state.contested, [&](const auto& c) { return c.second + kContested <= now; });
  }
  return std::any_of(inodes.begin(), inodes.end(), [&](InodeNo ino) {
    const auto found = state.contested.find(ino.value);
    return found != state.contested.end() && found->second + kContested > now;
  });
}

bool LeaseTable::take(SessionId id, uint64_t lease, std::span<const InodeNo> inodes) {
  const auto state = state_.lock();
  const auto found = state->sessions.find(id);
  if (found == state->sessions.end() || state->stopped) return false;
  Session& session = found->second;
  const bool held = session.taken_up() && session.end > clock_.steady() && session.lease == lease;
  if (!held || session.unsure || contested(*state, inodes)) return false;
  if (session.writes.size() + inodes.size() > options_.session_limit) return false;
  for (const auto& [other, theirs] : state->sessions) {
    if (other != id && theirs.workspace == session.workspace && theirs.unsure) return false;
  }
  for (const InodeNo ino : inodes) {
    const auto writer = state->writers.find(ino.value);
    if (writer != state->writers.end() && writer->second != id) return false;
  }
  for (const InodeNo ino : inodes) {
    session.writes.insert(ino.value);
    state->writers[ino.value] = id;
    // Who may change it may believe it, also after it was given back.
    add(*state, id, session, {ino});
    add(*state, id, session, {ino, true});
  }
  count_writing(*state);
  return true;
}

void LeaseTable::inherit_write(State& state, SessionId id, Session& session,
                               const LeaseWish& wish) {
  if (!session.writes.contains(wish.under.value)) return;
  if (session.writes.size() >= options_.session_limit) {
    if (!std::exchange(session.unsure, true)) ++state.unsure;
  } else {
    session.writes.insert(wish.ino.value);
    state.writers[wish.ino.value] = id;
  }
  add(state, id, session, {wish.ino});
  add(state, id, session, {wish.ino, true});
  count_writing(state);
}

void LeaseTable::end_write(State& state, Session& session, uint64_t ino) {
  if (session.writes.erase(ino) > 0) state.writers.erase(ino);
  const auto wanted = session.wanted.find(ino);
  if (wanted == session.wanted.end()) return;
  settle(wanted->second, true);
  session.wanted.erase(wanted);
}

void LeaseTable::end_all_writes(State& state, Session& session) {
  for (const uint64_t ino : session.writes) state.writers.erase(ino);
  session.writes.clear();
  if (std::exchange(session.unsure, false)) --state.unsure;
  for (auto& [ino, wanted] : session.wanted) settle(wanted, true);
  session.wanted.clear();
  count_writing(state);
}

void LeaseTable::give(SessionId id, std::span<const InodeNo> inodes) {
  const auto state = state_.lock();
  const auto found = state->sessions.find(id);
  if (found == state->sessions.end()) return;
  for (const InodeNo ino : inodes) {
    if (ino) end_write(*state, found->second, ino.value);
  }
  count_writing(*state);
}

void LeaseTable::give_all(SessionId id) {
  const auto state = state_.lock();
  const auto found = state->sessions.find(id);
  if (found != state->sessions.end()) end_all_writes(*state, found->second);
}

void LeaseTable::call_back(State& state, SessionId id, const std::vector<uint64_t>& inodes,
                           const RecallPtr& recall) {
  Session& session = state.sessions.at(id);
  const SteadyTime now = clock_.steady();
  if (session.end <= now) {
    lose(state, id, session);
    return;
  }
  fs::LeaseWanted news;
  for (const uint64_t ino : inodes) {
    const auto [wanted, added] = session.wanted.try_emplace(ino, Pending{now, {}});
    wanted->second.recalls.push_back(recall);
    ++recall->left_;
    if (!added) continue;
    if (ino == kEverything) news.all = true;
    if (ino != kEverything) news.inodes.emplace_back(ino);
  }
  recall->asked_.push_back(id);
  set_timer(session);
  if (ask_ && (news.all || !news.inodes.empty())) ask_(id, news);
}

RecallPtr LeaseTable::want(SessionId cause, uint64_t workspace, std::span<const InodeNo> inodes) {
  if (!writing()) return nullptr;
  const auto state = state_.lock();
  Keepers keepers;
  for (const InodeNo ino : inodes) {
    const auto writer = state->writers.find(ino.value);
    if (writer == state->writers.end() || writer->second == cause) continue;
    std::vector<uint64_t>& kept = keepers[writer->second];
    if (std::find(kept.begin(), kept.end(), ino.value) == kept.end()) kept.push_back(ino.value);
    state->contested[ino.value] = clock_.steady();
  }
  for (const auto& [id, session] : state->sessions) {
    const bool other = id != cause && session.workspace == workspace;
    if (other && session.unsure && !inodes.empty()) keepers[id].push_back(kEverything);
  }
  return call_back(*state, keepers);
}

RecallPtr LeaseTable::want_all(uint64_t workspace) {
  if (!writing()) return nullptr;
  const auto state = state_.lock();
  Keepers keepers;
  for (const auto& [id, session] : state->sessions) {
    if (session.workspace != workspace) continue;
    if (session.writes.empty() && !session.unsure) continue;
    keepers[id].push_back(kEverything);
    for (const uint64_t ino : session.writes) state->contested[ino] = clock_.steady();
  }
  return call_back(*state, keepers);
}

RecallPtr LeaseTable::call_back(State& state, const Keepers& keepers) {
  const auto recall = std::make_shared<Recall>();
  for (const auto& [id, kept] : keepers) call_back(state, id, kept, recall);
  if (recall->left_ == 0) return nullptr;
  ++state.recalls;
  if (state.stopped) recall->done_.set(false);
  return recall;
}

fs::LeaseWanted LeaseTable::wanted(SessionId id) const {
  fs::LeaseWanted all;
  const auto state = state_.lock();
  const auto found = state->sessions.find(id);
  if (found == state->sessions.end()) return all;
  for (const auto& [ino, wanted] : found->second.wanted) {
    if (ino == kEverything) all.all = true;
    if (ino != kEverything) all.inodes.emplace_back(ino);
  }
  return all;
}

}  // namespace aster::primary
