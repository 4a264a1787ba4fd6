#include "fuse/vfs/file_locks.h"

#include <algorithm>

#include "protocol/base/log.h"

namespace aster {
namespace {

using std::chrono::milliseconds;

/// Pauses between attempts of who waits for a lock.
constexpr milliseconds kFirstPause{5};
constexpr milliseconds kLongestPause{200};

fs::LockRequest request_of(const FileLocks::Wish& wish) {
  fs::LockRequest request;
  request.ino = wish.ino;
  request.owner = wish.owner;
  request.whole = wish.whole;
  request.unlock = wish.unlock;
  request.exclusive = wish.range.exclusive;
  request.start = wish.range.start;
  request.length = wish.range.end == UINT64_MAX ? 0 : wish.range.end - wish.range.start + 1;
  request.pid = wish.range.pid;
  return request;
}

bool transient(const Error& error) {
  return error.code == Errc::unavailable || error.code == Errc::timeout ||
         error.code == Errc::stale_handle;
}

}  // namespace

Task<Result<fs::LockAnswer>> FileLocks::ask(fs::LockRequest request) {
  if (primary_ == nullptr) co_return fail(Errc::unsupported, "no locks");
  const SteadyTime end = std::chrono::steady_clock::now() + timeout_;
  for (;;) {
    const auto left =
        std::chrono::duration_cast<milliseconds>(end - std::chrono::steady_clock::now());
    Result<fs::LockAnswer> answer =
        co_await primary_->lock(request, std::max(left, milliseconds(1)));
    if (answer.ok() || !transient(answer.error()) || stopping_) co_return answer;
    if (std::chrono::steady_clock::now() + kLongestPause >= end) co_return answer;
    co_await executor_.sleep(kLongestPause);
  }
}

Task<Result<void>> FileLocks::set(Wish wish, bool wait, Caller who) {
  // Others need not hear of the end of what they never heard of: each close(2) unlocks.
  if (wish.unlock && !holds(wish.ino, wish.whole, wish.owner)) co_return ok();
  const fs::LockRequest request = request_of(wish);
  for (milliseconds pause = kFirstPause;; pause = std::min(2 * pause, kLongestPause)) {
    const Result<fs::LockAnswer> answer = co_await ask(request);
    if (!answer.ok()) {
      // Perhaps it was granted, and only the answer is lost: the next unlock or close must tell the
      // primary. Taking it back now could take it from who tries again meanwhile.
      if (!wish.unlock && transient(answer.error())) note(wish);
      co_return answer.error();
    }
    if (answer->granted) break;
    // Without a conflict the primary has just restarted: worth a while also for who does not wait.
    if (answer->conflict && !wait) co_return fail(Errc::locked);
    if (who.left() || who.ending) co_return fail(Errc::interrupted);
    co_await executor_.sleep(pause);
    if (who.left() || stopping_) co_return fail(Errc::interrupted);
  }
  note(wish);
  co_return ok();
}

Task<Result<std::optional<fs::RangeLock>>> FileLocks::test(Wish wish) {
  fs::LockRequest request = request_of(wish);
  request.test = true;
  ASTER_CO_TRY(const fs::LockAnswer answer, co_await ask(request));
  std::optional<fs::RangeLock> other;
  if (answer.conflict) {
    const uint64_t end = answer.length == 0 ? UINT64_MAX : answer.start + answer.length - 1;
    other = fs::RangeLock{answer.start, end, answer.exclusive, answer.pid};
  }
  co_return other;
}

bool FileLocks::holds(InodeNo ino, bool whole, uint64_t owner) const {
  const auto state = state_.lock();
  const auto found = state->locks.find({ino.value, whole});
  if (found == state->locks.end()) return false;
  for (const auto& held : found->second.all()) {
    if (held.owner == owner) return true;
  }
  return false;
}

bool FileLocks::gives_up(const Wish& wish) const {
  if (!wish.unlock && wish.range.exclusive) return false;
  const auto state = state_.lock();
  const auto found = state->locks.find({wish.ino.value, wish.whole});
  if (found == state->locks.end()) return false;
  const auto& all = found->second.all();
  return std::any_of(all.begin(), all.end(), [&](const auto& held) {
    return held.owner == wish.owner && held.lock.exclusive;
  });
}

void FileLocks::note(const Wish& wish) {
  const auto state = state_.lock();
  const Key key{wish.ino.value, wish.whole};
  auto& locks = state->locks[key];
  if (wish.unlock) {
    locks.clear(wish.owner, wish.range.start, wish.range.end);
    if (locks.empty()) state->locks.erase(key);
    return;
  }
  locks.set(wish.owner, wish.range);
  if (wish.handle != 0) state->owners[wish.handle].insert({wish.whole, wish.owner});
}

Task<Result<void>> FileLocks::closed(InodeNo ino, uint64_t owner) {
  if (!holds(ino, false, owner)) co_return ok();
  Wish all;
  all.ino = ino;
  all.owner = owner;
  all.unlock = true;
  Caller nobody;
  auto done = co_await set(all, false, nobody);
  co_return done;
}

void FileLocks::released(HandleId handle, InodeNo ino) {
  std::set<std::pair<bool, uint64_t>> owners;
  {
    const auto state = state_.lock();
    const auto found = state->owners.find(handle);
    if (found == state->owners.end()) return;
    owners.swap(found->second);
    state->owners.erase(found);
  }
  for (const auto& [whole, owner] : owners) {
    if (!holds(ino, whole, owner)) continue;
    Wish all;
    all.ino = ino;
    all.owner = owner;
    all.whole = whole;
    all.unlock = true;
    note(all);
    start(send_quietly(all, false));
  }
}

void FileLocks::reclaim() {
  std::vector<Wish> wishes;
  {
    const auto state = state_.lock();
    for (const auto& [key, locks] : state->locks) {
      for (const auto& held : locks.all()) {
        wishes.push_back({InodeNo(key.ino), 0, held.owner, key.whole, false, held.lock});
      }
    }
  }
  for (const Wish& wish : wishes) start(send_quietly(wish, true));
}

Task<void> FileLocks::send_quietly(Wish wish, bool claim) {
  const std::optional<Lifeline::Guard> alive = lifeline_->enter();
  if (!alive) co_return;
  co_await executor_.hop();
  fs::LockRequest request = request_of(wish);
  request.reclaim = claim;
  const Result<fs::LockAnswer> answer = co_await ask(request);
  if (!answer.ok()) {
    ASTER_LOG(warn, "lock_not_sent", {"ino", request.ino.value}, {"err", answer.error()});
  } else if (claim && !answer->granted) {
    ASTER_LOG(error, "lock_lost", {"ino", request.ino.value}, {"start", request.start});
  } else if (claim && !holds(wish.ino, wish.whole, wish.owner)) {
    note(wish);  // given back while it was claimed: the next unlock or close tells the primary
  }
}

size_t FileLocks::held() const {
  size_t count = 0;
  const auto state = state_.lock();
  for (const auto& [key, locks] : state->locks) count += locks.size();
  return count;
}

}  // namespace aster
