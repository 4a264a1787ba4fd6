#include <algorithm>

#include "fuse/vfs/inode_table.h"

// The names of InodeTable.
namespace aster {
namespace {

/// Changed names remembered per directory; above that, all of its names count as changed.
constexpr size_t kChangedNamesMax = 4096;

/// Names remembered as not there; above that, they are asked for again.
constexpr size_t kAbsentMax = 65536;

}  // namespace

bool InodeTable::name_holds(const State& state, const Name& name, Ticket ticket) {
  if (ticket < state.floor) return false;
  const auto parent = state.inodes.find(name.parent);
  if (parent == state.inodes.end() || parent->second.names_since > ticket) return false;
  const auto changed = parent->second.changed_names.find(name.name);
  return changed == parent->second.changed_names.end() || changed->second <= ticket;
}

InodeTable::Noted InodeTable::found(InodeNo parent, const std::string& name, const fs::Attr& attr,
                                    Ticket ticket, bool own) {
  auto state = state_.lock();
  const auto [it, added] = state->inodes.try_emplace(attr.ino.value);
  Inode& inode = it->second;
  if (added) {
    inode.last_event = state->last_untracked_event;
    // Events about its names were not noted while it was not here.
    inode.names_since = state->events;
  }
  ++inode.lookups;
  const Name key{parent.value, name};
  const bool holds = name_holds(*state, key, ticket);
  if (own) touch_name(*state, key);
  if (own) inode.own_changes = true;
  state->absent.erase(key);
  const auto known = state->names.find(key);
  if (known == state->names.end() || known->second.ino != attr.ino.value) {
    drop_name(*state, key);
    state->names[key] = {attr.ino.value, 0};
    inode.names.push_back(key);
  }
  Child& child = state->names[key];
  if (holds) child.told = std::max(child.told, own ? state->events : ticket);
  Noted noted = take_in(*state, inode, attr, ticket, false);
  if (holds) noted.name_ttl = ttl_left(*state, expiry());
  return noted;
}

Duration InodeTable::name_ttl(InodeNo parent, const std::string& name, Ticket ticket) const {
  auto state = state_.lock();
  if (!name_holds(*state, {parent.value, name}, ticket)) return Duration::zero();
  return ttl_left(*state, expiry());
}

void InodeTable::set_absent(InodeNo parent, const std::string& name, Ticket ticket) {
  auto state = state_.lock();
  const Name key{parent.value, name};
  if (!leased() || !name_holds(*state, key, ticket)) return;
  if (state->absent.size() >= kAbsentMax) state->absent.clear();
  state->absent[key] = ticket;
}

std::optional<Found> InodeTable::resolve(InodeNo parent, const std::string& name) {
  auto state = state_.lock();
  const Duration left = ttl_left(*state, SteadyTime::max());
  if (!leased() || left <= Duration::zero()) return std::nullopt;
  const Name key{parent.value, name};
  if (const auto gone = state->absent.find(key); gone != state->absent.end()) {
    if (name_holds(*state, key, gone->second)) return Found{std::nullopt, left};
    state->absent.erase(gone);
    return std::nullopt;
  }
  const auto child = state->names.find(key);
  if (child == state->names.end() || !name_holds(*state, key, child->second.told)) {
    return std::nullopt;
  }
  const auto it = state->inodes.find(child->second.ino);
  if (it == state->inodes.end() || !it->second.known) return std::nullopt;
  const Duration fresh = ttl_left(*state, it->second.expires);
  if (fresh <= Duration::zero()) return std::nullopt;
  ++it->second.lookups;
  return Found{Entry{laid_over(it->second, it->second.attr), fresh, left}, left};
}

bool InodeTable::listing_holds(InodeNo directory, Ticket ticket) const {
  auto state = state_.lock();
  if (!leased() || ttl_left(*state, SteadyTime::max()) <= Duration::zero()) return false;
  const auto it = state->inodes.find(directory.value);
  return it != state->inodes.end() && it->second.names_since <= ticket &&
         it->second.last_name_change <= ticket && state->floor <= ticket;
}

std::optional<InodeNo> InodeTable::known_child(InodeNo parent, const std::string& name) const {
  auto state = state_.lock();
  const auto it = state->names.find(Name{parent.value, name});
  if (it == state->names.end()) return std::nullopt;
  return InodeNo(it->second.ino);
}

void InodeTable::drop_name(State& state, const Name& name) {
  const auto it = state.names.find(name);
  if (it == state.names.end()) return;
  const auto inode = state.inodes.find(it->second.ino);
  if (inode != state.inodes.end()) std::erase(inode->second.names, name);
  state.names.erase(it);
}

void InodeTable::touch_name(State& state, const Name& name) {
  ++state.events;
  const auto parent = state.inodes.find(name.parent);
  if (parent == state.inodes.end()) return;
  Inode& directory = parent->second;
  if (directory.changed_names.size() >= kChangedNamesMax) {
    directory.changed_names.clear();
    directory.names_since = state.events;
  }
  directory.changed_names[name.name] = state.events;
  directory.last_name_change = state.events;
}

void InodeTable::forget_name(InodeNo parent, const std::string& name) {
  auto state = state_.lock();
  const Name key{parent.value, name};
  touch_name(*state, key);
  drop_name(*state, key);
  state->absent.erase(key);
}

void InodeTable::forget_names(InodeNo directory) {
  auto state = state_.lock();
  const auto it = state->inodes.find(directory.value);
  ++state->events;
  if (it == state->inodes.end()) {
    state->last_untracked_event = state->events;
    return;
  }
  it->second.changed_names.clear();
  it->second.names_since = it->second.last_name_change = state->events;
}

void InodeTable::set_name(InodeNo parent, const std::string& name, InodeNo ino) {
  auto state = state_.lock();
  const Name key{parent.value, name};
  touch_name(*state, key);
  drop_name(*state, key);
  state->absent.erase(key);
  const auto it = state->inodes.find(ino.value);
  if (it == state->inodes.end()) return;
  // Told by nobody since: it says where the name leads, but must be asked for to be believed.
  state->names[key] = {ino.value, 0};
  it->second.names.push_back(key);
}

}  // namespace aster
