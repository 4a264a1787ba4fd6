#include <algorithm>

#include "fuse/vfs/conflict_name.h"
#include "fuse/vfs/local_names.h"
#include "fuse/vfs/named_inodes.h"
#include "protocol/base/fault_point.h"
#include "protocol/base/log.h"
#include "protocol/fs/json.h"

namespace aster {
namespace {

/// Operations in one batch: each is some 200 bytes, and the primary answers all after one commit.
constexpr size_t kBatchMax = 512;
/// While nobody waits for it, what comes within this travels together.
constexpr std::chrono::milliseconds kGather{10};
constexpr std::chrono::milliseconds kRetryFirst{100};
constexpr std::chrono::milliseconds kRetryLongest{2000};
/// Inode numbers asked for at once, and when more are asked for. One costs nothing.
constexpr uint32_t kReserved = 65536;
constexpr uint64_t kReserveBelow = 16384;
/// More leases than this are given back, all of them: both sides keep them in memory.
constexpr size_t kLeasedMax = 50000;

bool gone(const Result<fs::Answer>& answer) {
  return answer.failed_with(Errc::stale_handle) || answer.failed_with(Errc::not_found);
}

/// It will not be done however often it is asked for.
bool refused_for_ever(const Result<fs::Answer>& answer) {
  return gone(answer) || answer.failed_with(Errc::bad_request) ||
         answer.failed_with(Errc::not_permitted) || answer.failed_with(Errc::forbidden);
}

}  // namespace

Task<Result<void>> LocalNames::wait_for(uint64_t number, SteadyTime until) {
  const Completion<bool> done;
  {
    auto state = state_.lock();
    if (number <= state->settled) co_return ok();
    if (state->stopped) co_return fail(Errc::unavailable, "the mount is ending");
    state->waiting.emplace(number, done);
    hurry(*state);
  }
  executor_.post_after(until - clock_.steady(), [done] { done.set(false); });
  const bool settled = co_await done;
  if (!settled) co_return fail(Errc::unavailable, "the primary does not know the name yet");
  co_return ok();
}

Task<Result<void>> LocalNames::settle(std::chrono::milliseconds deadline) {
  const uint64_t number = state_.lock()->given;
  const Result<void> settled = co_await wait_for(number, clock_.steady() + deadline);
  co_return settled;
}

// 0 when the primary has everything that concerns it.
uint64_t LocalNames::unsettled(const State& state, InodeNo ino) const {
  const auto last = state.last.find(ino.value);
  return last != state.last.end() && last->second > state.settled ? last->second : 0;
}

bool LocalNames::unsent(InodeNo ino) const {
  auto state = state_.lock();
  return unsettled(*state, ino) != 0;
}

Task<Result<void>> LocalNames::sent(InodeNo ino, std::chrono::milliseconds deadline) {
  const uint64_t number = unsettled(*state_.lock(), ino);
  const Result<void> settled = co_await wait_for(number, clock_.steady() + deadline);
  co_return settled;
}

void LocalNames::hurry() {
  auto state = state_.lock();
  hurry(*state);
}

// Called with the state locked.
void LocalNames::hurry(State& state) {
  if (!state.gathering) return;
  executor_.post([done = *std::exchange(state.gathering, std::nullopt)] { done.set(true); });
}

// Called with the state locked.
void LocalNames::kick(State& state) {
  if (state.sending || state.stopped || state.queue.empty()) return;
  state.sending = true;
  executor_.post([this, line = lifeline_] {
    if (const auto alive = line->enter()) start(send());
  });
}

PrimaryClient& LocalNames::way(const State& state) const {
  return state.giving.empty() || direct_ == nullptr ? next_ : *direct_;
}

Task<void> LocalNames::send() {
  const std::optional<Lifeline::Guard> alive = lifeline_->enter();
  if (!alive) co_return;
  std::chrono::milliseconds pause = kRetryFirst;
  for (;;) {
    std::optional<Completion<bool>> gathering;
    {
      auto state = state_.lock();
      if (!state->stopped && state->waiting.empty() && state->queue.size() < kBatchMax) {
        gathering = state->gathering.emplace();
      }
    }
    if (gathering) {
      executor_.post_after(kGather, [done = *gathering] { done.set(true); });
      (void)co_await *gathering;
      state_.lock()->gathering.reset();
    }
    std::vector<fs::BatchItem> items = next_items();
    if (items.empty()) co_return;
    ASTER_FAULT_POINT("names.before_send");
    PrimaryClient& primary = way(*state_.lock());
    const Result<fs::BatchAnswer> answer =
        co_await primary.batch(std::move(items), options_.timeout);
    ASTER_FAULT_POINT("names.after_answer");
    if (answer.ok() && take_in(answer->results)) {
      pause = kRetryFirst;
      continue;
    }
    if (!answer.ok()) ASTER_LOG(debug, "names_not_sent", {"err", answer.error()});
    co_await executor_.sleep(pause);
    pause = std::min(2 * pause, kRetryLongest);
  }
}

// Nothing, and the sending ends, when there is nothing to send or stop() was called.
std::vector<fs::BatchItem> LocalNames::next_items() {
  auto state = state_.lock();
  std::vector<fs::BatchItem> items;
  if (!state->stopped) {
    const size_t count = std::min(state->queue.size(), kBatchMax);
    for (size_t i = 0; i < count; ++i) items.push_back(state->queue[i].item);
  }
  state->sending = !items.empty();
  return items;
}

// Stops at the first that was not done: what comes after it is sent again, under the same ids.
// True when the next request may leave at once.
bool LocalNames::take_in(const std::vector<Result<fs::Answer>>& answers) {
  std::vector<Completion<bool>> known;
  bool again = true;
  {
    auto state = state_.lock();
    for (const Result<fs::Answer>& answer : answers) {
      if (state->queue.empty()) break;
      again = settle_first(*state, answer);
      if (!answer.ok()) break;
    }
    const auto end = state->waiting.upper_bound(state->settled);
    for (auto it = state->waiting.begin(); it != end; ++it) known.push_back(it->second);
    state->waiting.erase(state->waiting.begin(), end);
  }
  for (const Completion<bool>& done : known) {
    executor_.post([done] { done.set(true); });
  }
  return again;
}

// True when it is settled, or has another name now.
bool LocalNames::settle_first(State& state, const Result<fs::Answer>& answer) {
  Queued& first = state.queue.front();
  if (answer.ok()) {
    drop_first(state);
    return true;
  }
  if (settle_refused(state, first, answer)) return true;
  ASTER_LOG(warn, "names_not_sent", {"err", answer.error()}, {"waiting", state.queue.size()});
  return false;
}

// Others were there first: nothing of theirs is taken away, nothing of ours gets lost.
bool LocalNames::settle_refused(State& state, Queued& first, const Result<fs::Answer>& answer) {
  const fs::Operation& operation = first.item.operation;
  const bool create = std::holds_alternative<fs::Create>(operation);
  const bool named = create || std::holds_alternative<fs::Link>(operation) ||
                     std::holds_alternative<fs::Rename>(operation);
  if (named && answer.failed_with(Errc::exists)) {
    take_conflict_name(state, first, false);
    return true;
  }
  if (create && gone(answer)) {
    take_conflict_name(state, first, true);
    return true;
  }
  // What is not empty, or of another kind by now, was made by somebody else.
  const bool other = answer.failed_with(Errc::not_empty) ||
                     answer.failed_with(Errc::is_directory) ||
                     answer.failed_with(Errc::not_directory);
  if (create || !(other || refused_for_ever(answer))) return false;
  ASTER_LOG(warn, "change_refused", {"op", fs::operation_name(operation)}, {"err", answer.error()});
  forget_names_of(state, operation);
  drop_first(state);
  return true;
}

// What is known here of the directories of an operation that came out otherwise.
void LocalNames::forget_names_of(State& state, const fs::Operation& operation) {
  for (const InodeNo ino : inodes_of(operation)) {
    if (!state.unsent.contains(ino.value)) state.own.erase(ino.value);
    const auto leased = state.leased.find(ino.value);
    if (leased != state.leased.end()) leased->second.reset();
  }
}

void LocalNames::drop_first(State& state) {
  Queued& first = state.queue.front();
  if (const auto* create = std::get_if<fs::Create>(&first.item.operation))
    known_now(state, *create);
  state.settled = first.number;
  if (journal_ != nullptr) journal_->retire_name(first.note);
  state.queue.pop_front();
  if (state.queue.empty()) {
    state.last.clear();
  } else if (state.last.size() > 4 * state.queue.size() + 1024) {
    std::erase_if(state.last, [&](const auto& last) { return last.second <= state.settled; });
  }
}

// The primary knows it now: it is ours as long as it is leased, as its directory is.
void LocalNames::known_now(State& state, const fs::Create& create) {
  const auto unsent = state.unsent.extract(create.ino->value);
  if (!options_.leases) return;
  if (!state.leased.contains(create.parent.value)) {
    state.own.erase(create.ino->value);
    return;
  }
  std::optional<fs::Attr> attr;
  if (!unsent.empty()) attr = unsent.mapped();
  state.leased.insert_or_assign(create.ino->value, std::move(attr));
  if (state.giving.contains(create.parent.value)) state.giving.insert(create.ino->value);
  if (state.leased.size() <= kLeasedMax || state.giving_all) return;
  state.giving_all = true;
  std::vector<InodeNo> all;
  for (const auto& [ino, known] : state.leased) {
    all.emplace_back(ino);
    state.giving.insert(ino);
  }
  give_in_background(std::move(all), false);
}

// Somebody else has the name, or removed the directory: what was made here goes beside it.
void LocalNames::take_conflict_name(State& state, Queued& first, bool lost_parent) {
  fs::Operation operation = first.item.operation;
  forget_names_of(state, operation);
  InodeNo ino;
  const auto rename = [&](std::string& name) {
    name = conflict_name(name, options_.client, first.attempts++);
    ASTER_LOG(warn, "conflict_copy", {"ino", ino.value}, {"name", name});
  };
  if (auto* create = std::get_if<fs::Create>(&operation)) {
    ino = *create->ino;
    rename(create->name);
    if (lost_parent) create->parent = options_.root;
  } else if (auto* link = std::get_if<fs::Link>(&operation)) {
    ino = link->ino;
    rename(link->name);
  } else if (auto* moved = std::get_if<fs::Rename>(&operation)) {
    ino = moved->only.value_or(InodeNo());
    rename(moved->new_name);
    moved->replaces.reset();
    moved->no_replace = true;
  }
  first.item = {std::move(operation), OperationId::random()};
  if (journal_ == nullptr) return;
  fs::BatchRequest request;
  request.items.push_back(first.item);
  journal_->replace_name(first.note, ino, fs::encode(request));
}

// Called with the state locked.
void LocalNames::reserve_more(State& state) {
  const bool enough = state.inos_left >= kReserveBelow;
  if (enough || state.reserving || state.stopped || !options_.take_new) return;
  state.reserving = true;
  executor_.post([this, line = lifeline_] {
    if (const auto alive = line->enter()) start(reserve_in_background());
  });
}

Task<void> LocalNames::reserve_in_background() {
  const std::optional<Lifeline::Guard> alive = lifeline_->enter();
  if (!alive) co_return;
  const Result<void> reserved = co_await reserve();
  if (!reserved.ok()) ASTER_LOG(debug, "no_inode_numbers", {"err", reserved.error()});
}

Task<Result<void>> LocalNames::reserve() {
  fs::Operation question = fs::ReserveInodes{kReserved};
  const Result<fs::InodeRange> range =
      co_await next_.call<fs::InodeRange>(std::move(question), options_.timeout);
  auto state = state_.lock();
  state->reserving = false;
  if (!range.ok()) co_return range.error();
  // The rest of the old range is not worth keeping.
  state->next_ino = range->first.value;
  state->inos_left = range->count;
  co_return ok();
}

Result<size_t> LocalNames::load_notes() {
  ASTER_TRY(const std::vector<WritebackJournal::Note> notes, journal_->names());
  auto state = state_.lock();
  for (const WritebackJournal::Note& note : notes) {
    ASTER_TRY(fs::BatchRequest request, fs::decode_batch_request(note.text));
    if (request.items.size() != 1) return fail(Errc::corrupt, "write-back journal: bad name");
    Queued queued;
    queued.number = ++state->given;
    queued.note = note.number;
    queued.item = std::move(request.items[0]);
    const auto* create = std::get_if<fs::Create>(&queued.item.operation);
    if (create != nullptr && !create->ino) {
      return fail(Errc::corrupt, "write-back journal: name without inode");
    }
    state->queue.push_back(std::move(queued));
  }
  kick(*state);
  return notes.size();
}

Task<Result<size_t>> LocalNames::prepare() {
  if (journal_ == nullptr) co_return size_t{0};  // the first lease asks for inode numbers
  ASTER_CO_TRY(const size_t noted, load_notes());
  if (noted > 0) {
    ASTER_CO_TRY(co_await settle(options_.timeout));
  }
  if (options_.take_new) {
    state_.lock()->reserving = true;
    // An older primary cannot do this: then every name is made there.
    const Result<void> reserved = co_await reserve();
    if (!reserved.ok()) ASTER_LOG(info, "no_inode_numbers", {"err", reserved.error()});
  }
  co_return noted;
}

}  // namespace aster
