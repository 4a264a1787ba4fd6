#include "server/webdav/lock_table.h"

#include <algorithm>

#include "protocol/base/ids.h"
#include "protocol/http_text.h"
#include "server/webdav/xml_text.h"

namespace aster::webdav {
namespace {

bool contains(const std::vector<InodeNo>& inodes, InodeNo ino) {
  return std::find(inodes.begin(), inodes.end(), ino) != inodes.end();
}

std::string new_token() {
  std::string id = random_hex(16);
  id[12] = '4';
  id[16] = "89ab"[static_cast<unsigned char>(id[16]) & 3];
  for (const size_t at : {20, 16, 12, 8}) id.insert(at, 1, '-');
  return "urn:uuid:" + id;
}

primary::GuestLock seen_by_mounts(const Lock& lock) {
  return {lock.token, lock.ino, !lock.shared, lock.expires_at, lock.deep};
}

}  // namespace

void LockTable::forget(const Lock& lock) const {
  if (guests_ != nullptr) guests_->drop(lock.ino, lock.token);
}

bool LockTable::covers(const Lock& lock, const LockPlace& place) {
  if (lock.workspace != place.workspace) return false;
  return lock.ino == place.ino || (lock.deep && contains(place.above, lock.ino));
}

bool LockTable::lies_below(const Lock& lock, const LockPlace& place) {
  return lock.workspace == place.workspace && contains(lock.above, place.ino);
}

void LockTable::sweep(Locks& locks) const {
  const int64_t now = clock_.now_seconds();
  std::erase_if(locks, [&](const Lock& lock) {
    const bool ended = lock.expires_at <= now;
    if (ended) forget(lock);
    return ended;
  });
}

Task<Result<void>> LockTable::load() {
  ASTER_CO_TRY(Locks stored, co_await store_.load_locks());
  for (const Lock& lock : stored) {
    if (guests_ != nullptr) guests_->put(seen_by_mounts(lock));
  }
  *locks_.lock() = std::move(stored);
  co_return ok();
}

std::vector<Lock> LockTable::covering(const LockPlace& place) const {
  const int64_t now = clock_.now_seconds();
  const auto locks = locks_.lock();
  std::vector<Lock> found;
  for (const Lock& lock : *locks) {
    if (lock.expires_at > now && covers(lock, place)) found.push_back(lock);
  }
  return found;
}

std::vector<Lock> LockTable::below(const LockPlace& place) const {
  const int64_t now = clock_.now_seconds();
  const auto locks = locks_.lock();
  std::vector<Lock> found;
  for (const Lock& lock : *locks) {
    if (lock.expires_at > now && lies_below(lock, place)) found.push_back(lock);
  }
  return found;
}

Task<Result<std::vector<primary::LockedBelow>>> LockTable::held_by_mounts_below(
    InodeNo directory) const {
  std::vector<primary::LockedBelow> held;
  if (guests_ == nullptr) co_return held;
  ASTER_CO_TRY(held, co_await guests_->held_below(directory));
  std::erase_if(held, [](const primary::LockedBelow& one) {
    return one.holder != primary::LockHolder::mount;
  });
  co_return held;
}

bool LockTable::in_the_way(const Locks& locks, const Lock& wanted) const {
  const LockPlace place{wanted.workspace, wanted.ino, wanted.above};
  return std::any_of(locks.begin(), locks.end(), [&](const Lock& lock) {
    const bool meets = covers(lock, place) || (wanted.deep && lies_below(lock, place));
    return meets && !(lock.shared && wanted.shared);
  });
}

Task<Result<Lock>> LockTable::take(Lock wanted) {
  wanted.token = new_token();
  wanted.expires_at = clock_.now_seconds() + wanted.timeout;
  {
    const auto locks = locks_.lock();
    sweep(*locks);
    if (in_the_way(*locks, wanted)) co_return fail(Errc::locked, "it is locked already");
    const auto own = std::count_if(locks->begin(), locks->end(), [&](const Lock& lock) {
      return lock.workspace == wanted.workspace;
    });
    if (static_cast<size_t>(own) >= kMost) {
      co_return fail(Errc::out_of_resources, "too many locks in this tree");
    }
    locks->push_back(wanted);
  }
  Result<void> stored = co_await take_among_mounts(wanted);
  if (stored.ok()) stored = co_await store_.put_lock(wanted);
  if (stored.ok()) co_return wanted;
  forget(wanted);
  std::erase_if(*locks_.lock(), [&](const Lock& lock) { return lock.token == wanted.token; });
  co_return stored.error();
}

Task<Result<void>> LockTable::take_among_mounts(Lock wanted) {
  if (guests_ == nullptr) co_return ok();
  bool taken = false;
  if (wanted.deep) {
    ASTER_CO_TRY(taken, co_await guests_->take_deep(seen_by_mounts(wanted)));
  } else {
    taken = guests_->take(seen_by_mounts(wanted));
  }
  if (taken) co_return ok();
  co_return fail(Errc::locked, "a program on a mount has locked it, or something below it");
}

Task<Result<Lock>> LockTable::refresh(std::string token, LockPlace place, int64_t timeout) {
  std::optional<Lock> renewed;
  {
    const auto locks = locks_.lock();
    sweep(*locks);
    for (Lock& lock : *locks) {
      if (lock.token != token || !covers(lock, place)) continue;
      lock.timeout = timeout;
      lock.expires_at = clock_.now_seconds() + timeout;
      renewed = lock;
      if (guests_ != nullptr) guests_->put(seen_by_mounts(lock));
    }
  }
  if (!renewed) co_return fail(Errc::not_found, "no such lock here");
  ASTER_CO_TRY(co_await store_.put_lock(*renewed));
  co_return std::move(*renewed);
}

Task<Result<void>> LockTable::release(std::string token) {
  std::erase_if(*locks_.lock(), [&](const Lock& lock) {
    if (lock.token != token) return false;
    forget(lock);
    return true;
  });
  std::vector<std::string> tokens{std::move(token)};
  co_return co_await store_.remove_locks(std::move(tokens));
}

Task<Result<void>> LockTable::drop(LockPlace place) {
  std::vector<std::string> tokens;
  std::erase_if(*locks_.lock(), [&](const Lock& lock) {
    const bool goes =
        (lock.workspace == place.workspace && lock.ino == place.ino) || lies_below(lock, place);
    if (goes) {
      tokens.push_back(lock.token);
      forget(lock);
    }
    return goes;
  });
  if (tokens.empty()) co_return ok();
  co_return co_await store_.remove_locks(std::move(tokens));
}

LockPlace place_of_parent(const content::Spot& spot, uint64_t workspace,
                          const std::vector<InodeNo>& outside) {
  LockPlace place{.workspace = workspace, .above = outside};
  for (const fs::Attr& directory : spot.above) place.above.push_back(directory.ino);
  place.ino = place.above.back();
  place.above.pop_back();
  return place;
}

LockPlace place_of_node(const content::Spot& spot, uint64_t workspace,
                        const std::vector<InodeNo>& outside) {
  LockPlace place{.workspace = workspace, .ino = spot.node->ino, .above = outside};
  for (const fs::Attr& directory : spot.above) place.above.push_back(directory.ino);
  return place;
}

std::string locks_xml(const std::vector<Lock>& locks, const std::string& prefix, int64_t now) {
  std::string out;
  for (const Lock& lock : locks) {
    out += "<D:activelock><D:locktype><D:write/></D:locktype><D:lockscope>";
    out += lock.shared ? "<D:shared/>" : "<D:exclusive/>";
    out += "</D:lockscope><D:depth>";
    out += lock.deep ? "infinity" : "0";
    out += "</D:depth>" + lock.owner + "<D:timeout>Second-" +
           std::to_string(std::max<int64_t>(0, lock.expires_at - now)) +
           "</D:timeout><D:locktoken><D:href>" + xml_escape(lock.token) +
           "</D:href></D:locktoken><D:lockroot><D:href>" + xml_escape(prefix + lock.path) +
           "</D:href></D:lockroot></D:activelock>";
  }
  return out;
}

int64_t parse_timeout(const std::string* header) {
  if (header == nullptr) return LockTable::kUsual;
  std::string_view first = trim(std::string_view(*header).substr(0, header->find(',')));
  if (equals_ignoring_case(first, "Infinite")) return LockTable::kLongest;
  if (!first.starts_with("Second-")) return LockTable::kUsual;
  const auto seconds = parse_decimal<uint64_t>(first.substr(7));
  if (!seconds) return LockTable::kLongest;  // larger than any number we read
  return std::clamp<int64_t>(
      static_cast<int64_t>(std::min<uint64_t>(*seconds, LockTable::kLongest)), 1,
      LockTable::kLongest);
}

}  // namespace aster::webdav
