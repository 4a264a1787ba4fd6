#include "server/primary/lock_table.h"

#include <algorithm>

namespace aster::primary {
namespace {

fs::RangeLock range_of(const fs::LockRequest& request) {
  fs::RangeLock lock;
  if (!request.whole) {
    lock.start = request.start;
    const bool endless = request.length == 0 || request.length - 1 > UINT64_MAX - request.start;
    lock.end = endless ? UINT64_MAX : request.start + request.length - 1;
  }
  lock.exclusive = request.exclusive;
  lock.pid = request.pid;
  return lock;
}

}  // namespace

void LockTable::restored(SessionId session) {
  const auto state = state_.lock();
  state->awaited.insert(session);
  state->grace_end = clock_.steady() + grace_;
}

void LockTable::close(SessionId session) {
  const auto state = state_.lock();
  state->awaited.erase(session);
  if (state->count.erase(session) == 0) return;
  for (auto& kind : state->inodes) {
    for (auto at = kind.begin(); at != kind.end();) {
      at->second.erase_if([&](const Owner& owner) { return owner.session == session; });
      at = at->second.empty() ? kind.erase(at) : std::next(at);
    }
  }
}

uint64_t LockTable::deep_mark() const {
  return mark_of(*state_.lock());
}

Result<std::optional<fs::LockAnswer>> LockTable::apply(const fs::LockRequest& request,
                                                       const Place& place) {
  const auto state = state_.lock();
  const uint64_t mark = mark_of(*state);
  if (!request.unlock && mark != 0 && mark != place.mark) return std::optional<fs::LockAnswer>();
  ASTER_TRY(const fs::LockAnswer answer, decide(*state, request, place.above));
  return std::optional<fs::LockAnswer>(answer);
}

Result<fs::LockAnswer> LockTable::apply(const fs::LockRequest& request) {
  const auto state = state_.lock();
  return decide(*state, request, {});
}

Result<fs::LockAnswer> LockTable::decide(State& state, const fs::LockRequest& request,
                                         const std::vector<InodeNo>& above) {
  const fs::RangeLock wanted = range_of(request);
  const Owner owner{request.session, request.owner};
  auto& inodes = state.inodes[request.whole ? 1 : 0];
  const auto found = inodes.find(request.ino.value);
  fs::LockAnswer answer;
  if (!request.unlock) {
    if (found != inodes.end()) {
      if (const auto other = found->second.conflict(owner, wanted)) {
        answer.conflict = true;
        answer.exclusive = other->lock.exclusive;
        answer.start = other->lock.start;
        answer.length = other->lock.end == UINT64_MAX ? 0 : other->lock.end - other->lock.start + 1;
        if (other->owner.session == request.session) answer.pid = other->lock.pid;
        return answer;
      }
    }
    if (const GuestLock* const guest = guest_in_the_way(state, request, above)) {
      answer.conflict = true;
      answer.exclusive = guest->exclusive;
      return answer;
    }
    if (in_grace(state) && !request.reclaim && !request.test) return answer;
    const auto count = state.count.find(request.session);
    if (count != state.count.end() && count->second >= kSessionMax) {
      return fail(Errc::out_of_resources, "too many locks in one session");
    }
  }
  answer.granted = true;
  if (!request.test) keep(state, request, wanted);
  return answer;
}

const GuestLock* LockTable::guest_in_the_way(const State& state, const fs::LockRequest& request,
                                             const std::vector<InodeNo>& above) const {
  const int64_t now = clock_.now_seconds();
  const auto look_at = [&](InodeNo ino, bool deep) -> const GuestLock* {
    const auto found = state.guests.find(ino.value);
    if (found == state.guests.end()) return nullptr;
    for (const GuestLock& guest : found->second) {
      const bool meets = guest.expires_at > now && (guest.deep || !deep);
      if (meets && (guest.exclusive || request.exclusive)) return &guest;
    }
    return nullptr;
  };
  if (const GuestLock* const guest = look_at(request.ino, false)) return guest;
  for (const InodeNo directory : above) {
    if (const GuestLock* const guest = look_at(directory, true)) return guest;
  }
  return nullptr;
}

void LockTable::add(State& state, const GuestLock& lock) {
  state.guests[lock.ino.value].push_back(lock);
  if (!lock.deep) return;
  ++state.deep_now;
  ++state.deep_taken;
}

void LockTable::remove(State& state, InodeNo ino, const std::string& token) {
  const auto found = state.guests.find(ino.value);
  if (found == state.guests.end()) return;
  std::erase_if(found->second, [&](const GuestLock& one) {
    const bool goes = one.token == token;
    if (goes && one.deep) --state.deep_now;
    return goes;
  });
  if (found->second.empty()) state.guests.erase(found);
}

bool LockTable::take(const GuestLock& lock) {
  const auto state = state_.lock();
  if (in_grace(*state)) return false;
  fs::RangeLock whole;
  whole.exclusive = lock.exclusive;
  for (const auto& kind : state->inodes) {
    const auto found = kind.find(lock.ino.value);
    if (found != kind.end() && found->second.conflict(Owner{}, whole)) return false;
  }
  add(*state, lock);
  return true;
}

// First it is there, so that mounts get nothing below it any more, then what they have is looked
// at.
Task<Result<bool>> LockTable::take_deep(GuestLock lock) {
  if (!take(lock)) co_return false;
  if (!below_) co_return true;
  std::vector<InodeNo> held;
  {
    fs::RangeLock whole;
    whole.exclusive = lock.exclusive;
    const auto state = state_.lock();
    for (const auto& kind : state->inodes) {
      for (const auto& [ino, locks] : kind) {
        if (locks.conflict(Owner{}, whole)) held.push_back(InodeNo(ino));
      }
    }
  }
  Result<std::vector<LockedBelow>> found = std::vector<LockedBelow>();
  if (!held.empty()) found = co_await below_(lock.ino, std::move(held));
  if (!found.ok() || !found->empty()) drop(lock.ino, lock.token);
  if (!found.ok()) co_return found.error();
  co_return found->empty();
}

void LockTable::put(const GuestLock& lock) {
  const auto state = state_.lock();
  remove(*state, lock.ino, lock.token);
  add(*state, lock);
}

void LockTable::drop(InodeNo ino, const std::string& token) {
  const auto state = state_.lock();
  remove(*state, ino, token);
}

bool LockTable::held_by_mounts(InodeNo ino) const {
  const auto state = state_.lock();
  return state->inodes[0].contains(ino.value) || state->inodes[1].contains(ino.value);
}

LockHolder LockTable::holder(InodeNo ino, const std::vector<InodeNo>& above) const {
  if (held_by_mounts(ino)) return LockHolder::mount;
  fs::LockRequest any;  // an exclusive one meets all
  any.ino = ino;
  any.exclusive = true;
  const auto state = state_.lock();
  const bool guest = guest_in_the_way(*state, any, above) != nullptr;
  return guest ? LockHolder::guest : LockHolder::none;
}

std::vector<InodeNo> LockTable::all_held() const {
  std::unordered_set<uint64_t> held;
  const auto state = state_.lock();
  for (const auto& kind : state->inodes) {
    for (const auto& [ino, locks] : kind) held.insert(ino);
  }
  for (const auto& [ino, locks] : state->guests) held.insert(ino);
  std::vector<InodeNo> all;
  for (const uint64_t ino : held) all.emplace_back(ino);
  return all;
}

Task<Result<std::vector<LockedBelow>>> LockTable::held_below(InodeNo directory) {
  std::vector<LockedBelow> below;
  std::vector<InodeNo> held = all_held();
  if (!below_ || held.empty()) co_return below;
  ASTER_CO_TRY(below, co_await below_(directory, std::move(held)));
  const std::vector<InodeNo> nothing_above;
  for (LockedBelow& one : below) one.holder = holder(one.ino, nothing_above);
  std::erase_if(below, [](const LockedBelow& one) {
    return one.holder == LockHolder::none;  // it has ended
  });
  co_return below;
}

void LockTable::keep(State& state, const fs::LockRequest& request, const fs::RangeLock& lock) {
  auto& inodes = state.inodes[request.whole ? 1 : 0];
  Locks& locks = inodes[request.ino.value];
  const Owner owner{request.session, request.owner};
  const size_t before = locks.size();
  if (request.unlock) {
    locks.clear(owner, lock.start, lock.end);
  } else {
    locks.set(owner, lock);
  }
  size_t& count = state.count[request.session];
  count += locks.size();
  count -= std::min(count, before);
  if (locks.empty()) inodes.erase(request.ino.value);
}

}  // namespace aster::primary
