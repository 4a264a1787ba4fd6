#include "fuse/vfs/inode_table.h"

#include <algorithm>

namespace aster {
namespace {

/// Contents of closed files that are kept, so that a file which is opened again and again (headers,
/// git's index) does not fetch its manifest each time. A content without data is about 1 KiB.
constexpr size_t kClosedContentsMax = 8192;

}  // namespace

InodeTable::InodeTable(const Clock& clock, InodeNo root, Duration ttl)
    : clock_(clock), root_(root), ttl_(ttl) {
  auto state = state_.lock();
  state->inodes[root.value];
  if (leased()) state->trusted_until = SteadyTime{};
}

void InodeTable::set_trusted(bool trusted) {
  {
    auto state = state_.lock();
    const SteadyTime until = trusted ? SteadyTime::max() : SteadyTime{};
    if (state->trusted_until == until) return;
    state->trusted_until = until;
  }
  // Events may be under way that answers from now on do not know of yet.
  expire_all();
}

void InodeTable::expire_all() {
  auto state = state_.lock();
  state->floor = ++state->events;
  state->absent.clear();
  for (auto& [ino, inode] : state->inodes) {
    inode.expires = SteadyTime{};
    // While the primary is away old ones serve a mount without leases.
    if (leased() || state->trusted_until != SteadyTime{}) inode.xattr_names.reset();
  }
}

fs::Attr InodeTable::laid_over(const Inode& inode, const fs::Attr& attr) {
  fs::Attr result = inode.content ? inode.content->overlay(attr) : attr;
  result.atime = std::max(result.atime, inode.accessed);
  return result;
}

bool InodeTable::is_news(const fs::Attr& attr, int64_t now) {
  static constexpr int64_t kDay = 86400ll * 1'000'000'000;
  return attr.atime <= attr.mtime || attr.atime <= attr.ctime || attr.atime < now - kDay;
}

bool InodeTable::accessed(InodeNo ino, int64_t now, AccessTimes which) {
  auto state = state_.lock();
  const auto it = state->inodes.find(ino.value);
  if (it == state->inodes.end() || !it->second.known) return false;
  Inode& inode = it->second;
  const bool strict = which == AccessTimes::strict;
  if (!strict && !is_news(laid_over(inode, inode.attr), now)) return false;
  inode.accessed = now;
  return true;
}

void InodeTable::access_sent(InodeNo ino, int64_t at) {
  auto state = state_.lock();
  const auto it = state->inodes.find(ino.value);
  if (it == state->inodes.end() || it->second.accessed != at) return;
  it->second.accessed = INT64_MIN;
  it->second.attr.atime = std::max(it->second.attr.atime, at);
}

void InodeTable::forget_access(InodeNo ino) {
  auto state = state_.lock();
  const auto it = state->inodes.find(ino.value);
  if (it != state->inodes.end()) it->second.accessed = INT64_MIN;
}

Duration InodeTable::ttl_left(const State& state, SteadyTime expires) const {
  const SteadyTime until = std::min(expires, state.trusted_until);
  const SteadyTime now = clock_.steady();
  return until <= now ? Duration::zero() : until - now;
}

InodeTable::Noted InodeTable::take_in(State& state, Inode& inode, const fs::Attr& attr,
                                      Ticket ticket, bool own) {
  const bool current = inode.last_event <= ticket && state.floor <= ticket;
  const bool newer = !inode.known || attr.change > inode.attr.change;
  if (own) inode.own_changes = true;
  if (newer || (current && attr.change == inode.attr.change)) {
    inode.attr = attr;
    inode.known = true;
    inode.expires = current ? expiry() : SteadyTime{};
    // It may have been restored from the trash. When in doubt it has a name: then unsent data is
    // sent, at worst in vain.
    if (attr.nlink == 0 || newer) inode.unlinked = attr.nlink == 0;
    if (current && attr.no_xattrs) inode.xattr_names.emplace();
  }
  Noted noted;
  noted.attributes.attr = laid_over(inode, inode.attr);
  noted.attributes.ttl = ttl_left(state, inode.expires);
  noted.content = inode.content;
  const uint64_t version = noted.attributes.attr.data_version;
  if (inode.kernel_version && *inode.kernel_version != version) {
    noted.foreign = !own;
    inode.kernel_version = version;
  }
  return noted;
}

InodeTable::Noted InodeTable::note(const fs::Attr& attr, Ticket ticket, bool own) {
  auto state = state_.lock();
  const auto it = state->inodes.find(attr.ino.value);
  if (it == state->inodes.end()) return {{attr, Duration::zero()}, false, nullptr};
  return take_in(*state, it->second, attr, ticket, own);
}

std::optional<Attributes> InodeTable::fresh(InodeNo ino) const {
  auto state = state_.lock();
  const auto it = state->inodes.find(ino.value);
  if (it == state->inodes.end() || !it->second.known) return std::nullopt;
  const Duration left = ttl_left(*state, it->second.expires);
  if (left <= Duration::zero()) return std::nullopt;
  return Attributes{laid_over(it->second, it->second.attr), left};
}

std::optional<fs::Attr> InodeTable::known(InodeNo ino) const {
  auto state = state_.lock();
  const auto it = state->inodes.find(ino.value);
  if (it == state->inodes.end() || !it->second.known) return std::nullopt;
  return laid_over(it->second, it->second.attr);
}

std::optional<std::pair<InodeNo, std::string>> InodeTable::any_name(InodeNo ino) const {
  auto state = state_.lock();
  const auto it = state->inodes.find(ino.value);
  if (it == state->inodes.end() || it->second.names.empty()) return std::nullopt;
  const Name& name = it->second.names.back();
  return std::pair(InodeNo(name.parent), name.name);
}

void InodeTable::forget(InodeNo ino, uint64_t lookups) {
  auto state = state_.lock();
  const auto it = state->inodes.find(ino.value);
  if (it == state->inodes.end()) return;
  it->second.lookups -= std::min(it->second.lookups, lookups);
  erase_if_unused(*state, ino.value);
}

void InodeTable::erase_if_unused(State& state, uint64_t ino) {
  const auto it = state.inodes.find(ino);
  if (it == state.inodes.end() || ino == root_.value) return;
  const Inode& inode = it->second;
  if (inode.lookups > 0 || inode.opens > 0) return;
  if (inode.content && inode.content->dirty() && !inode.unlinked) return;
  // What was asked before our own last commit may be answered only now, and knows nothing of it.
  if (inode.content) state.last_untracked_event = ++state.events;
  for (const Name& name : inode.names) state.names.erase(name);
  // Listings that were fetched before show it without our changes, and no event will tell.
  if (inode.own_changes) state.last_untracked_event = ++state.events;
  state.inodes.erase(it);
}

void InodeTable::collect(InodeNo ino) {
  auto state = state_.lock();
  erase_if_unused(*state, ino.value);
}

void InodeTable::expire(InodeNo ino) {
  auto state = state_.lock();
  const auto it = state->inodes.find(ino.value);
  if (it == state->inodes.end()) return;
  it->second.expires = SteadyTime{};
  it->second.own_changes = true;
  it->second.last_event = ++state->events;
}

void InodeTable::recount(InodeNo ino) {
  auto state = state_.lock();
  const auto it = state->inodes.find(ino.value);
  if (it == state->inodes.end()) return;
  it->second.expires = SteadyTime{};
  it->second.attr.change = 0;
  it->second.own_changes = true;
  it->second.last_event = ++state->events;
}

bool InodeTable::event(InodeNo ino, bool content) {
  auto state = state_.lock();
  ++state->events;
  const auto it = state->inodes.find(ino.value);
  if (it == state->inodes.end()) {
    state->last_untracked_event = state->events;
    return false;
  }
  it->second.expires = SteadyTime{};
  it->second.last_event = state->events;
  it->second.xattr_names.reset();
  it->second.unlinked = false;  // whoever tells of a lost name says so next; it may be restored
  if (content) it->second.kernel_version.reset();
  return true;
}

std::vector<InodeNo> InodeTable::reset() {
  auto state = state_.lock();
  state->last_untracked_event = ++state->events;
  state->floor = state->events;
  state->absent.clear();
  std::vector<InodeNo> all;
  all.reserve(state->inodes.size());
  for (auto& [ino, inode] : state->inodes) {
    inode.expires = SteadyTime{};
    inode.last_event = state->events;
    inode.names_since = state->events;
    inode.changed_names.clear();
    inode.attr.change = 0;  // a restored primary may count from an earlier point
    inode.xattr_names.reset();
    inode.kernel_version.reset();
    const bool unused = inode.content && inode.opens == 0 && !inode.content->dirty();
    if (unused) inode.content.reset();
    all.emplace_back(ino);
  }
  return all;
}

void InodeTable::committed(InodeNo ino, Ticket ticket) {
  auto state = state_.lock();
  const auto it = state->inodes.find(ino.value);
  if (it == state->inodes.end() || !it->second.known) return;
  Inode& inode = it->second;
  const fs::Attr now = laid_over(inode, inode.attr);
  if (inode.kernel_version) inode.kernel_version = now.data_version;
  const bool informed = now.change > inode.attr.change;
  const bool current = inode.last_event <= ticket && state->floor <= ticket;
  inode.own_changes = true;
  inode.expires = informed && current ? expiry() : SteadyTime{};
}

void InodeTable::set_unlinked(InodeNo ino) {
  auto state = state_.lock();
  const auto it = state->inodes.find(ino.value);
  if (it == state->inodes.end()) return;
  it->second.unlinked = true;
  it->second.attr.nlink = 0;
}

bool InodeTable::unlinked(InodeNo ino) const {
  auto state = state_.lock();
  const auto it = state->inodes.find(ino.value);
  return it != state->inodes.end() && it->second.unlinked;
}

std::shared_ptr<FileContent> InodeTable::content(const fs::Attr& attr, FileIo& io) {
  auto state = state_.lock();
  Inode& inode = state->inodes[attr.ino.value];
  if (!inode.content) inode.content = io.content(attr);
  return inode.content;
}

std::shared_ptr<FileContent> InodeTable::content_ahead(InodeNo ino, FileIo& io) {
  auto state = state_.lock();
  const auto it = state->inodes.find(ino.value);
  if (it == state->inodes.end() || it->second.content || !it->second.known) return nullptr;
  if (ttl_left(*state, it->second.expires) <= Duration::zero()) return nullptr;
  it->second.content = io.content(it->second.attr);
  state->closed.push_back(ino.value);
  trim_closed(*state);
  return it->second.content;
}

std::shared_ptr<FileContent> InodeTable::content_if_any(InodeNo ino) const {
  auto state = state_.lock();
  const auto it = state->inodes.find(ino.value);
  return it == state->inodes.end() ? nullptr : it->second.content;
}

bool InodeTable::opened(InodeNo ino, bool writes, uint64_t version) {
  auto state = state_.lock();
  Inode& inode = state->inodes[ino.value];
  ++inode.opens;
  if (writes) ++inode.writers;
  const bool same = inode.kernel_version == version;
  inode.kernel_version = version;
  return same;
}

InodeTable::Closed InodeTable::closed(InodeNo ino, bool writes) {
  auto state = state_.lock();
  const auto it = state->inodes.find(ino.value);
  if (it == state->inodes.end()) return {};
  Inode& inode = it->second;
  if (inode.opens > 0) --inode.opens;
  if (writes && inode.writers > 0) --inode.writers;
  Closed closed{inode.opens == 0, false, inode.content};
  if (!closed.last) return closed;
  closed.held = std::exchange(inode.held, false);
  if (inode.unlinked) inode.content.reset();  // unsent data of a file without a name
  state->closed.push_back(ino.value);
  trim_closed(*state);
  erase_if_unused(*state, ino.value);
  return closed;
}

void InodeTable::trim_closed(State& state) {
  // One round at most: what is open or dirty goes to the end again.
  for (size_t left = state.closed.size(); left > kClosedContentsMax; --left) {
    const uint64_t oldest = state.closed.front();
    state.closed.pop_front();
    const auto it = state.inodes.find(oldest);
    if (it == state.inodes.end() || !it->second.content || it->second.opens > 0) continue;
    if (it->second.content->dirty()) {
      state.closed.push_back(oldest);
    } else {
      // Our own commits changed them, and only the content knows.
      it->second.attr = it->second.content->overlay(it->second.attr);
      it->second.content.reset();
    }
  }
}

bool InodeTable::is_open(InodeNo ino) const {
  auto state = state_.lock();
  const auto it = state->inodes.find(ino.value);
  return it != state->inodes.end() && it->second.opens > 0;
}

size_t InodeTable::writers(InodeNo ino) const {
  auto state = state_.lock();
  const auto it = state->inodes.find(ino.value);
  return it == state->inodes.end() ? 0 : it->second.writers;
}

bool InodeTable::set_held(InodeNo ino) {
  auto state = state_.lock();
  const auto it = state->inodes.find(ino.value);
  if (it == state->inodes.end() || it->second.opens == 0) return false;
  it->second.held = true;
  return true;
}

std::vector<InodeNo> InodeTable::held() const {
  auto state = state_.lock();
  std::vector<InodeNo> all;
  for (const auto& [ino, inode] : state->inodes) {
    if (inode.held) all.emplace_back(ino);
  }
  return all;
}

std::vector<InodeNo> InodeTable::open_files() const {
  auto state = state_.lock();
  std::vector<InodeNo> all;
  for (const auto& [ino, inode] : state->inodes) {
    if (inode.opens > 0) all.emplace_back(ino);
  }
  return all;
}

std::vector<std::pair<InodeNo, std::shared_ptr<FileContent>>> InodeTable::dirty() const {
  auto state = state_.lock();
  std::vector<std::pair<InodeNo, std::shared_ptr<FileContent>>> all;
  for (const auto& [ino, inode] : state->inodes) {
    if (inode.content && !inode.unlinked && inode.content->dirty()) {
      all.emplace_back(InodeNo(ino), inode.content);
    }
  }
  return all;
}

std::optional<std::vector<std::string>> InodeTable::xattr_names(InodeNo ino) const {
  if (!trusted()) return std::nullopt;
  return old_xattr_names(ino);
}

std::optional<std::vector<std::string>> InodeTable::old_xattr_names(InodeNo ino) const {
  auto state = state_.lock();
  const auto it = state->inodes.find(ino.value);
  if (it == state->inodes.end()) return std::nullopt;
  return it->second.xattr_names;
}

void InodeTable::set_xattr_names(InodeNo ino, std::vector<std::string> names, Ticket ticket) {
  auto state = state_.lock();
  const auto it = state->inodes.find(ino.value);
  if (it == state->inodes.end() || it->second.last_event > ticket) return;
  if (state->floor > ticket) return;
  it->second.xattr_names = std::move(names);
}

void InodeTable::expire_xattrs(InodeNo ino) {
  auto state = state_.lock();
  const auto it = state->inodes.find(ino.value);
  if (it == state->inodes.end()) return;
  it->second.xattr_names.reset();
  it->second.last_event = ++state->events;
}

}  // namespace aster
