#include "fuse/vfs/local_names.h"

// Changes of names other than new ones, made here: tree_operations.cpp and rename_operation.cpp of
// the primary do the same later, and count `change` in the same way.
namespace aster {
namespace {

bool is_directory(const fs::Attr& attr) {
  return attr.type == fs::FileType::directory;
}

}  // namespace

// While a change by way of the primary is under way it is not known what comes after it.
LocalNames::Own* LocalNames::own_directory(State& state, InodeNo ino) const {
  const auto own = state.own.find(ino.value);
  const bool known = own != state.own.end() && ours(state, ino);
  return known && !state.forwarding.contains(ino.value) ? &own->second : nullptr;
}

std::optional<fs::Attr> LocalNames::attr_here(const State& state, InodeNo ino) const {
  if (!ours(state, ino) || state.forwarding.contains(ino.value)) return std::nullopt;
  const auto own = state.own.find(ino.value);
  if (own != state.own.end()) return own->second.attr;
  const auto unsent = state.unsent.find(ino.value);
  if (unsent != state.unsent.end()) return unsent->second;
  const auto leased = state.leased.find(ino.value);
  return leased == state.leased.end() ? std::nullopt : leased->second;
}

void LocalNames::set_attr_here(State& state, const fs::Attr& attr) const {
  const uint64_t ino = attr.ino.value;
  if (const auto own = state.own.find(ino); own != state.own.end()) own->second.attr = attr;
  if (const auto at = state.unsent.find(ino); at != state.unsent.end()) at->second = attr;
  if (const auto at = state.leased.find(ino); at != state.leased.end()) at->second = attr;
}

// A name in it has changed; `links`: subdirectories more or less.
void LocalNames::touch_directory(State& state, InodeNo ino, int64_t now, int links) const {
  std::optional<fs::Attr> attr = attr_here(state, ino);
  if (!attr) return;
  attr->mtime = attr->ctime = now;
  attr->change += 1;
  attr->nlink = static_cast<uint64_t>(static_cast<int64_t>(attr->nlink) + links);
  set_attr_here(state, *attr);
}

// One name of it is gone.
fs::Removed LocalNames::drop_link(State& state, fs::Attr attr, int64_t now) const {
  attr.nlink = is_directory(attr) ? 0 : attr.nlink - 1;
  attr.ctime = now;
  attr.change += 1;
  if (attr.nlink > 0) {
    set_attr_here(state, attr);
  } else {
    state.own.erase(attr.ino.value);
    state.unsent.erase(attr.ino.value);
    const auto leased = state.leased.find(attr.ino.value);
    if (leased != state.leased.end()) leased->second.reset();
  }
  return {attr.ino, attr.nlink};
}

LocalNames::Local LocalNames::local(State& state, const fs::Unlink& op) {
  Own* own = own_directory(state, op.parent);
  if (own == nullptr || !own->attr || op.hold || !takes_more(state)) return std::nullopt;
  const auto child = own->children.find(op.name);
  if (child == own->children.end()) return fail(Errc::not_found);
  const std::optional<fs::Attr> attr = attr_here(state, InodeNo(child->second));
  if (!attr) return std::nullopt;
  if (is_directory(*attr)) return fail(Errc::is_directory);
  fs::Unlink unlink = op;
  unlink.only = attr->ino;
  if (!enqueue(state, std::move(unlink), {attr->ino, op.parent})) return std::nullopt;
  own->children.erase(child);
  const int64_t now = clock_.now_ns();
  touch_directory(state, op.parent, now, 0);
  return fs::Answer(drop_link(state, *attr, now));
}

LocalNames::Local LocalNames::local(State& state, const fs::Rmdir& op) {
  Own* own = own_directory(state, op.parent);
  if (own == nullptr || !own->attr || !takes_more(state)) return std::nullopt;
  const auto child = own->children.find(op.name);
  if (child == own->children.end()) return fail(Errc::not_found);
  const std::optional<fs::Attr> attr = attr_here(state, InodeNo(child->second));
  if (!attr) return std::nullopt;
  if (!is_directory(*attr)) return fail(Errc::not_directory);
  const Own* inside = own_directory(state, attr->ino);
  if (inside == nullptr) return std::nullopt;  // whether it is empty is not known
  if (!inside->children.empty()) return fail(Errc::not_empty);
  fs::Rmdir rmdir = op;
  rmdir.only = attr->ino;
  if (!enqueue(state, std::move(rmdir), {attr->ino, op.parent})) return std::nullopt;
  own->children.erase(child);
  const int64_t now = clock_.now_ns();
  touch_directory(state, op.parent, now, -1);
  return fs::Answer(drop_link(state, *attr, now));
}

LocalNames::Local LocalNames::local(State& state, const fs::Link& op) {
  Own* own = own_directory(state, op.parent);
  std::optional<fs::Attr> attr = attr_here(state, op.ino);
  if (own == nullptr || !own->attr || !attr || !takes_more(state)) return std::nullopt;
  const bool simple = !is_directory(*attr) && attr->nlink > 0 && attr->nlink < fs::kLinkMax;
  if (!simple || op.name.empty() || op.name.size() > fs::kNameMax) return std::nullopt;
  if (own->children.contains(op.name)) return fail(Errc::exists);
  if (!enqueue(state, op, {op.ino, op.parent})) return std::nullopt;
  own->children[op.name] = op.ino.value;
  const int64_t now = clock_.now_ns();
  touch_directory(state, op.parent, now, 0);
  attr->nlink += 1;
  attr->ctime = now;
  attr->change += 1;
  set_attr_here(state, *attr);
  return fs::Answer(std::move(*attr));
}

LocalNames::Local LocalNames::local(State& state, const fs::Rename& op) {
  Own* from = own_directory(state, op.parent);
  Own* to = own_directory(state, op.new_parent);
  if (from == nullptr || to == nullptr || !from->attr || !to->attr) return std::nullopt;
  if (op.hold || op.exchange || !takes_more(state)) return std::nullopt;
  if (op.new_name.empty() || op.new_name.size() > fs::kNameMax) return std::nullopt;
  const auto source = from->children.find(op.name);
  if (source == from->children.end()) return fail(Errc::not_found);
  std::optional<fs::Attr> moved = attr_here(state, InodeNo(source->second));
  // Directories that get another parent could make a loop: the primary decides.
  if (!moved || (is_directory(*moved) && from != to)) return std::nullopt;
  const auto target = to->children.find(op.new_name);
  std::optional<fs::Attr> replaced;
  fs::Rename rename = op;
  rename.only = moved->ino;
  rename.no_replace = target == to->children.end();
  if (!rename.no_replace) {
    if (op.no_replace) return fail(Errc::exists);
    replaced = attr_here(state, InodeNo(target->second));
    const bool simple = replaced && !is_directory(*replaced) && !is_directory(*moved);
    if (!simple || replaced->ino == moved->ino) return std::nullopt;
    rename.replaces = replaced->ino;
  }
  const InodeNo gone = replaced ? replaced->ino : moved->ino;
  if (!enqueue(state, std::move(rename), {moved->ino, op.parent, op.new_parent, gone})) {
    return std::nullopt;
  }
  from->children.erase(source);
  to->children[op.new_name] = moved->ino.value;
  const int64_t now = clock_.now_ns();
  touch_directory(state, op.parent, now, 0);
  if (from != to) touch_directory(state, op.new_parent, now, 0);
  moved->ctime = now;
  moved->change += 1;
  set_attr_here(state, *moved);
  fs::Renamed answer{std::move(*moved), std::nullopt};
  if (replaced) answer.replaced = drop_link(state, *replaced, now);
  return fs::Answer(std::move(answer));
}

}  // namespace aster
