#include <algorithm>
#include <utility>

#include "fuse/vfs/local_names.h"
#include "fuse/vfs/named_inodes.h"
#include "protocol/base/fault_point.h"
#include "protocol/base/log.h"

// Write leases of LocalNames: what may be changed here, how it is asked for and given back.
namespace aster {
namespace {

/// Directories of which all names are known.
constexpr size_t kOwnMax = 16384;
/// Of the term, as LeaseKeeper has it.
constexpr double kTrusted = 0.9;
/// Changes of names in one directory within this are worth a lease...
constexpr std::chrono::seconds kTogether{2};
/// ... from this many on.
constexpr unsigned kWorthIt = 2;
/// After somebody wanted it: not asked for again for this long, longer each time that it did not
/// pay.
constexpr std::chrono::milliseconds kFirstPause{1000};
constexpr std::chrono::milliseconds kLongestPause{16000};
/// So many changes under a lease have paid for it.
constexpr uint64_t kPaid = 16;
constexpr size_t kPacesMax = 4096;
/// How often it is looked for a primary that is down, and for one that cannot be reached: that
/// takes time.
constexpr std::chrono::milliseconds kDownFor{1000};
constexpr std::chrono::milliseconds kAwayFor{5000};
constexpr std::chrono::milliseconds kProbe{2000};
constexpr std::chrono::seconds kOfflineFor{30};
constexpr std::chrono::milliseconds kRetry{200};
constexpr int kTellAttempts = 20;

}  // namespace

bool LocalNames::believed(const State& state) const {
  const SteadyTime now = clock_.steady();
  return now < state.trusted_until || (!state.stream && now < state.down_until);
}

bool LocalNames::ours(const State& state, InodeNo ino) const {
  if (state.giving.contains(ino.value)) return false;
  if (state.unsent.contains(ino.value)) return true;
  if (!options_.leases) return state.own.contains(ino.value);
  return state.leased.contains(ino.value) && believed(state);
}

// ---- the event stream

void LocalNames::on_event(const fs::Invalidation& event) {
  auto state = state_.lock();
  const auto changed = [&](InodeNo ino) {
    if (!state->unsent.contains(ino.value)) state->own.erase(ino.value);
    state->leased.erase(ino.value);
    for (auto& [asked, asking] : state->asking) {
      asking.touched.insert(ino.value);
      if (asked == ino.value) asking.cancelled = true;
    }
  };
  for (const auto& inode : event.inodes) changed(inode.ino);
  for (const auto& entry : event.entries) changed(entry.parent);
}

// What the primary does not know yet, nobody else can have touched.
void LocalNames::forget_leases(State& state) {
  std::erase_if(state.own, [&](const auto& own) { return !state.unsent.contains(own.first); });
  state.leased.clear();
  state.giving.clear();
  for (auto& [ino, asking] : state.asking) asking.cancelled = true;
}

void LocalNames::on_reset() {
  bool clear = false;
  {
    auto state = state_.lock();
    forget_leases(*state);
    clear = state->ever_took;
  }
  if (clear) give_in_background({}, true);
}

void LocalNames::on_lease(uint64_t lease) {
  bool clear = false;
  {
    auto state = state_.lock();
    state->stream = true;
    if (state->lease == lease) return;
    state->lease = lease;
    state->trusted_until = SteadyTime{};
    if (!options_.leases) return;
    forget_leases(*state);
    clear = state->ever_took;
  }
  // A primary that was restarted lets nobody near anything until it knows what we kept.
  if (clear) give_in_background({}, true);
}

void LocalNames::on_state(bool alive) {
  auto state = state_.lock();
  state->stream = alive;
  if (!alive) state->trusted_until = SteadyTime{};
}

Task<Result<fs::AckAnswer>> LocalNames::acknowledge(fs::Ack ack,
                                                    std::chrono::milliseconds deadline) {
  const uint64_t lease = ack.lease;
  const SteadyTime sent = clock_.steady();
  Result<fs::AckAnswer> answer = co_await next_.acknowledge(std::move(ack), deadline);
  if (answer.ok() && answer->lease == lease && answer->lease_ms > 0) {
    const std::chrono::duration<double, std::milli> term(answer->lease_ms * kTrusted);
    auto state = state_.lock();
    if (state->stream && state->lease == lease) {
      state->trusted_until = sent + std::chrono::duration_cast<Duration>(term);
    }
  }
  co_return answer;
}

void LocalNames::on_wanted(const fs::LeaseWanted& wanted) {
  std::vector<InodeNo> inodes = wanted.inodes;
  {
    auto state = state_.lock();
    for (auto& [ino, asking] : state->asking) {
      const bool named = std::find(inodes.begin(), inodes.end(), InodeNo(ino)) != inodes.end();
      if (wanted.all || named) asking.cancelled = true;
    }
    if (wanted.all) {
      for (const auto& [ino, attr] : state->leased) inodes.emplace_back(ino);
    }
    // Who looks into a directory asks for what is in it next.
    const size_t named = inodes.size();
    for (size_t i = 0; i < named; ++i) {
      const auto own = state->own.find(inodes[i].value);
      if (own == state->own.end()) continue;
      for (const auto& [name, child] : own->second.children) inodes.emplace_back(child);
    }
    for (const InodeNo ino : inodes) {
      const bool here = state->leased.contains(ino.value) || state->unsent.contains(ino.value);
      if (here) state->giving.insert(ino.value);
    }
  }
  give_in_background(std::move(inodes), wanted.all);
}

// ---- asking

bool LocalNames::worth_asking(State& state, InodeNo ino, bool directory) {
  if (!options_.leases || !options_.take_new || state.stopped) return false;
  const SteadyTime now = clock_.steady();
  if (!state.stream || now >= state.trusted_until) return false;
  if (state.asking.contains(ino.value) || state.giving.contains(ino.value)) return false;
  if (state.pace.size() > kPacesMax) state.pace.clear();
  Pace& pace = state.pace[ino.value];
  if (now - pace.last > kTogether) pace.changes = 0;
  pace.last = now;
  ++pace.changes;
  if (now < pace.not_before) return false;
  // Whoever holds a directory whose names are not known here holds it alone.
  return !directory || pace.changes >= kWorthIt || state.leased.contains(ino.value);
}

// A mount with durability=local is there for work without servers: what it held it goes on with
// while they cannot be reached, whatever the reason. Others get their way when its term is over,
// and what was changed here meanwhile gives way to theirs.
Task<void> LocalNames::check_down() {
  bool down = co_await refuses_connections();
  Duration time = kDownFor;
  if (!down) {
    fs::Operation question = fs::GetAttr{options_.root};
    const Result<fs::Attr> root = co_await next_.call<fs::Attr>(std::move(question), kProbe);
    down = root.failed_with(Errc::unavailable) || root.failed_with(Errc::timeout);
    time = kAwayFor;
  }
  if (down) state_.lock()->down_until = clock_.steady() + time;
}

Task<bool> LocalNames::prepare_for(Concern concern, SteadyTime until) {
  InodeNo ask;
  bool lost = false;
  std::vector<Completion<bool>> answers;
  {
    auto state = state_.lock();
    for (const InodeNo ino : concern.all) {
      const bool known = state->own.contains(ino.value) || state->leased.contains(ino.value);
      lost = lost || (journal_ && known && !state->stream && !believed(*state));
    }
    for (const InodeNo directory : concern.directories) {
      const auto asking = state->asking.find(directory.value);
      if (asking != state->asking.end()) {
        answers.emplace_back();
        asking->second.waiting.push_back(answers.back());
      }
      const auto own = state->own.find(directory.value);
      const bool whole = own != state->own.end() && own->second.attr && ours(*state, directory);
      if (whole || ask || !answers.empty()) continue;
      if (worth_asking(*state, directory, true)) ask = directory;
    }
    if (ask) {
      answers.emplace_back();
      state->asking[ask.value].waiting.push_back(answers.back());
    }
  }
  if (lost) co_await check_down();
  if (ask) take_in_background(ask);
  for (const Completion<bool>& done : answers) {
    executor_.post_after(until - clock_.steady(), [done] { done.set(false); });
    (void)co_await done;
  }
  co_return lost || !answers.empty();
}

// The caller has put it into State::asking.
Task<void> LocalNames::take(InodeNo ino) {
  const std::optional<Lifeline::Guard> alive = lifeline_->enter();
  if (!alive) co_return;
  std::optional<Completion<bool>> idle;
  uint64_t needed = 0;
  bool numbers = false;
  fs::LeaseRequest request;
  {
    auto state = state_.lock();
    numbers = state->inos_left == 0 && !std::exchange(state->reserving, true);
    if (state->forwarding.contains(ino.value)) {
      idle.emplace();
      state->asking[ino.value].idle = *idle;
    }
    const auto last = state->last.find(ino.value);
    if (last != state->last.end()) needed = last->second;
    request.lease = state->lease;
    request.take = ino;
  }
  if (numbers) {  // of what use is the lease without
    const Result<void> reserved = co_await reserve();
    if (!reserved.ok()) ASTER_LOG(debug, "no_inode_numbers", {"err", reserved.error()});
  }
  // What the answer lists must have everything that was done before.
  if (idle) (void)co_await *idle;
  const Result<void> known = co_await wait_for(needed, clock_.steady() + options_.timeout);
  Result<fs::LeaseAnswer> answer = fail(Errc::interrupted);
  const uint64_t lease = request.lease;
  if (known.ok()) answer = co_await next_.lease(std::move(request), options_.timeout);
  std::vector<Completion<bool>> waiting;
  std::vector<InodeNo> unwanted;
  {
    auto state = state_.lock();
    waiting = std::move(state->asking[ino.value].waiting);
    unwanted = taken(*state, ino, lease, answer);
  }
  for (const Completion<bool>& done : waiting) {
    executor_.post([done] { done.set(true); });
  }
  if (!unwanted.empty()) give_in_background(std::move(unwanted), false);
}

// Whoever changes a name in it meanwhile waits for the answer.
void LocalNames::take_in_background(InodeNo ino) {
  executor_.post([this, line = lifeline_, ino] {
    if (const auto alive = line->enter()) start(take(ino));
  });
}

// What is to be given back at once.
std::vector<InodeNo> LocalNames::taken(State& state, InodeNo ino, uint64_t lease,
                                       const Result<fs::LeaseAnswer>& answer) {
  const Asking asking = std::move(state.asking[ino.value]);
  state.asking.erase(ino.value);
  Pace& pace = state.pace[ino.value];
  pace.changes = 0;
  pace.given = state.given;
  std::vector<InodeNo> unwanted;
  const bool granted = answer.ok() && answer->granted && answer->attr;
  const bool good = granted && !asking.cancelled && state.lease == lease && !state.stopped &&
                    clock_.steady() < state.trusted_until;
  if (good) {
    install(state, *answer, asking);
    return unwanted;
  }
  pace.pause = std::clamp<Duration>(2 * pace.pause, kFirstPause, kLongestPause);
  pace.not_before = clock_.steady() + pace.pause;
  if (answer.ok() && !granted) return unwanted;
  if (granted) {
    for (const fs::DirEntry& entry : answer->entries) unwanted.push_back(entry.attr.ino);
  }
  unwanted.push_back(ino);  // also when it is not known whether it was granted
  return unwanted;
}

void LocalNames::install(State& state, const fs::LeaseAnswer& answer, const Asking& asking) {
  state.ever_took = true;
  ++state.taken;
  ASTER_LOG(debug, "write_lease_taken", {"ino", answer.attr->ino.value},
            {"entries", answer.entries.size()});
  const auto believable = [&](const fs::Attr& attr) -> std::optional<fs::Attr> {
    const uint64_t ino = attr.ino.value;
    const auto last = state.last.find(ino);
    const bool unsettled = last != state.last.end() && last->second > state.settled;
    if (asking.touched.contains(ino) || state.forwarding.contains(ino) || unsettled) {
      return std::nullopt;
    }
    return attr;
  };
  const fs::Attr& attr = *answer.attr;
  state.leased.insert_or_assign(attr.ino.value, believable(attr));
  for (const fs::DirEntry& entry : answer.entries) {
    const uint64_t child = entry.attr.ino.value;
    if (!state.leased.contains(child)) state.leased.emplace(child, believable(entry.attr));
  }
  if (attr.type != fs::FileType::directory || state.own.size() >= kOwnMax) return;
  Own own;
  own.attr = believable(attr);
  // What is made below a place of its own inherits in ways that only the primary knows.
  if (attr.own_policy) return;
  for (const fs::DirEntry& entry : answer.entries) {
    own.children[entry.name] = entry.attr.ino.value;
  }
  state.own.insert_or_assign(attr.ino.value, std::move(own));
}

Task<bool> LocalNames::cover(InodeNo ino) {
  bool ask = false;
  bool lost = false;
  std::optional<Completion<bool>> asked;
  {
    auto state = state_.lock();
    if (!options_.leases || ours(*state, ino)) co_return true;
    if (!state->stream && clock_.steady() < state->offline_until) co_return true;
    lost = !state->stream;
    const auto asking = state->asking.find(ino.value);
    if (asking != state->asking.end()) {
      asked.emplace();
      asking->second.waiting.push_back(*asked);
    } else if (worth_asking(*state, ino, false)) {
      ask = true;
      state->asking[ino.value];
    }
  }
  if (asked) (void)co_await *asked;
  if (ask) co_await take(ino);
  if (lost) co_await check_down();
  auto state = state_.lock();
  co_return ours(*state, ino) || clock_.steady() < state->down_until;
}

bool LocalNames::covers(InodeNo ino) const {
  if (!options_.leases) return false;
  auto state = state_.lock();
  return ours(*state, ino);
}

void LocalNames::unreachable() {
  auto state = state_.lock();
  if (!state->stream) state->offline_until = clock_.steady() + kOfflineFor;
}

LeaseState LocalNames::lease_state() const {
  LeaseState now;
  auto state = state_.lock();
  now.writes = state->leased.size();
  now.wanted = state->giving.size();
  now.unsent = state->queue.size();
  now.taken = state->taken;
  now.given_back = state->given_back;
  return now;
}

// ---- giving back

void LocalNames::give_in_background(std::vector<InodeNo> inodes, bool all) {
  executor_.post([this, line = lifeline_, inodes = std::move(inodes), all] {
    if (const auto alive = line->enter()) start(give_back(inodes, all));
  });
}

// Everything that was kept of them is sent: its names first, because data needs them.
Task<Result<void>> LocalNames::send_kept(std::vector<InodeNo> inodes, uint64_t lease) {
  for (;;) {
    if (content_ != nullptr) co_await content_->send_content(inodes);
    uint64_t number = 0;
    {
      auto state = state_.lock();
      if (state->stopped || state->lease != lease) co_return fail(Errc::interrupted);
      number = state->given;
    }
    const Result<void> sent = co_await wait_for(number, clock_.steady() + options_.timeout);
    if (sent.ok()) co_return sent;
    co_await executor_.sleep(kRetry);
  }
}

Task<void> LocalNames::give_back(std::vector<InodeNo> inodes, bool all) {
  const std::optional<Lifeline::Guard> alive = lifeline_->enter();
  if (!alive) co_return;
  const uint64_t lease = state_.lock()->lease;
  std::vector<InodeNo> kept = inodes;
  if (all && journal_ != nullptr) kept = journal_->files();
  ASTER_FAULT_POINT("leases.before_give");
  const Result<void> sent = co_await send_kept(std::move(kept), lease);
  if (!sent.ok()) co_return;  // stopped, or the lease is lost: there is nothing to give back
  {
    auto state = state_.lock();
    const SteadyTime now = clock_.steady();
    state->giving_all = false;
    for (const InodeNo ino : inodes) {
      state->given_back += state->leased.erase(ino.value);
      state->giving.erase(ino.value);
      if (!state->unsent.contains(ino.value)) state->own.erase(ino.value);
      const auto pace = state->pace.find(ino.value);
      if (pace == state->pace.end()) continue;
      const bool paid = state->given - pace->second.given >= kPaid;
      const Duration next = paid ? Duration(kFirstPause) : 2 * pace->second.pause;
      pace->second.pause = std::clamp<Duration>(next, kFirstPause, kLongestPause);
      pace->second.not_before = now + pace->second.pause;
    }
  }
  if (content_ != nullptr) content_->given_back(inodes);
  co_await tell_given(std::move(inodes), all, lease);
}

Task<void> LocalNames::tell_given(std::vector<InodeNo> inodes, bool all, uint64_t lease) {
  for (size_t begin = 0; begin < inodes.size() || all;) {
    const size_t end = std::min(inodes.size(), begin + fs::kGiveMax);
    fs::LeaseRequest request;
    request.give.assign(inodes.begin() + static_cast<std::ptrdiff_t>(begin),
                        inodes.begin() + static_cast<std::ptrdiff_t>(end));
    request.give_all = all && end == inodes.size();
    bool told = false;
    for (int attempt = 0; attempt < kTellAttempts && !told; ++attempt) {
      fs::LeaseRequest again = request;
      const Result<fs::LeaseAnswer> answer =
          co_await next_.lease(std::move(again), options_.timeout);
      told = answer.ok();
      {
        auto state = state_.lock();
        if (state->stopped || state->lease != lease) co_return;
      }
      if (!told) co_await executor_.sleep(kRetry);
    }
    // Then the primary waits until our lease is over.
    if (!told) ASTER_LOG(warn, "lease_not_given_back", {"inodes", inodes.size()});
    begin = end;
    if (end == inodes.size()) break;
  }
}

}  // namespace aster
