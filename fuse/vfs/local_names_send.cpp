#include <algorithm>

#include "fuse/vfs/conflict_name.h"
#include "fuse/vfs/local_names.h"
#include "protocol/base/fault_point.h"
#include "protocol/base/log.h"
#include "protocol/fs/json.h"

namespace aster {
namespace {

/// Operations in one batch: each is some 200 bytes, and the primary answers all after one commit.
constexpr size_t kTogether = 512;
constexpr std::chrono::milliseconds kFirstPause{100};
constexpr std::chrono::milliseconds kLongestPause{2000};
/// Inode numbers asked for at once, and when more are asked for. One costs nothing.
constexpr uint32_t kReserved = 65536;
constexpr uint64_t kReserveBelow = 16384;

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
    state->waiting.emplace(number, done);
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

// Called with the state locked.
void LocalNames::kick(State& state) {
  if (state.sending || state.stopped || state.queue.empty()) return;
  state.sending = true;
  executor_.post([this, line = lifeline_] {
    if (line->enter()) start(send());
  });
}

Task<void> LocalNames::send() {
  const std::optional<Lifeline::Guard> alive = lifeline_->enter();
  if (!alive) co_return;
  std::chrono::milliseconds pause = kFirstPause;
  for (;;) {
    std::vector<fs::BatchItem> items = next_items();
    if (items.empty()) co_return;
    ASTER_FAULT_POINT("names.before_send");
    const Result<fs::BatchAnswer> answer = co_await next_.batch(std::move(items), options_.timeout);
    ASTER_FAULT_POINT("names.after_answer");
    if (answer.ok() && take_in(answer->results)) {
      pause = kFirstPause;
      continue;
    }
    if (!answer.ok()) ASTER_LOG(debug, "names_not_sent", {"err", answer.error()});
    co_await executor_.sleep(pause);
    pause = std::min(2 * pause, kLongestPause);
  }
}

// Nothing, and the sending ends, when there is nothing to send or stop() was called.
std::vector<fs::BatchItem> LocalNames::next_items() {
  auto state = state_.lock();
  std::vector<fs::BatchItem> items;
  if (!state->stopped) {
    const size_t count = std::min(state->queue.size(), kTogether);
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
  const auto* create = std::get_if<fs::Create>(&first.item.operation);
  if (create == nullptr && refused_for_ever(answer)) {
    ASTER_LOG(warn, "attributes_refused", {"err", answer.error()});
    drop_first(state);
    return true;
  }
  if (create != nullptr && (answer.failed_with(Errc::exists) || gone(answer))) {
    take_conflict_name(state, first, gone(answer));
    return true;
  }
  ASTER_LOG(warn, "names_not_sent", {"err", answer.error()}, {"waiting", state.queue.size()});
  return false;
}

void LocalNames::drop_first(State& state) {
  Queued& first = state.queue.front();
  if (const auto* create = std::get_if<fs::Create>(&first.item.operation)) {
    state.unsent.erase(create->ino->value);
  }
  state.settled = first.number;
  journal_.retire_name(first.note);
  state.queue.pop_front();
  if (state.queue.empty()) {
    state.last.clear();
  } else if (state.last.size() > 4 * state.queue.size() + 1024) {
    std::erase_if(state.last, [&](const auto& last) { return last.second <= state.settled; });
  }
}

// Somebody else has the name, or removed the directory: what was made here goes beside it.
void LocalNames::take_conflict_name(State& state, Queued& first, bool lost_parent) {
  fs::Create create = std::get<fs::Create>(first.item.operation);
  state.own.erase(create.parent.value);
  const std::string old = create.name;
  create.name = conflict_name(old, options_.client, first.attempts++);
  if (lost_parent) create.parent = options_.root;
  ASTER_LOG(warn, "conflict_copy", {"ino", create.ino->value}, {"name", create.name});
  first.item = {create, OperationId::random()};
  fs::BatchRequest request;
  request.items.push_back(first.item);
  journal_.replace_name(first.note, *create.ino, fs::encode(request));
}

// Called with the state locked.
void LocalNames::reserve_more(State& state) {
  const bool enough = state.inos_left >= kReserveBelow;
  if (enough || state.reserving || state.stopped || !options_.take_new) return;
  state.reserving = true;
  executor_.post([this, line = lifeline_] {
    if (line->enter()) start(reserve_in_background());
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
  ASTER_TRY(const std::vector<WritebackJournal::Note> notes, journal_.names());
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
