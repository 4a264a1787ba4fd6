#include "server/primary/tree_operations.h"

namespace aster::primary {
namespace {

using db::InodeRow;
using fs::FileType;

bool is_directory(const InodeRow& row) {
  return row.attr.type == FileType::directory;
}

/// Both directories of a rename; one row when they are the same, so that no change gets lost.
struct Parents {
  InodeRow from;
  std::optional<InodeRow> other;
  InodeRow& to() { return other ? *other : from; }
  bool same() const { return !other.has_value(); }
};

Result<Parents> load_parents(Mutation& m, const fs::Rename& op) {
  Parents parents;
  ASTER_TRY(parents.from, m.parent(op.parent));
  if (op.new_parent != op.parent) {
    ASTER_TRY(parents.other, m.parent(op.new_parent));
  }
  return parents;
}

/// True when `directory` is `below` or one of the directories above it.
bool contains(Mutation& m, InodeNo directory, const InodeRow& below) {
  InodeNo at = below.attr.ino;
  InodeNo up = below.parent;
  while (at != directory) {
    if (up == at) return false;  // the root
    std::optional<InodeRow> next = m.store.inodes.find(up);
    if (!next) return false;
    at = up;
    up = next->parent;
  }
  return true;
}

Result<void> check_loops(Mutation& m, const fs::Rename& op, Parents& parents, const InodeRow& moved,
                         const std::optional<InodeRow>& target) {
  if (is_directory(moved) && contains(m, moved.attr.ino, parents.to())) {
    return fail(Errc::bad_request, "a directory cannot move into itself");
  }
  if (op.exchange && target && is_directory(*target) &&
      contains(m, target->attr.ino, parents.from)) {
    return fail(Errc::bad_request, "a directory cannot move into itself");
  }
  return ok();
}

Result<void> check_replace(Mutation& m, const InodeRow& moved, const InodeRow& target) {
  if (is_directory(moved)) {
    if (!is_directory(target)) return fail(Errc::not_directory);
    if (m.store.inodes.has_entries(target.attr.ino)) return fail(Errc::not_empty);
  } else if (is_directory(target)) {
    return fail(Errc::is_directory);
  }
  return ok();
}

/// A directory that came under another parent: its ".." and both link counts.
void change_parent(InodeRow& child, InodeRow& from, InodeRow& to) {
  if (!is_directory(child) || from.attr.ino == to.attr.ino) return;
  from.attr.nlink -= 1;
  to.attr.nlink += 1;
  child.parent = to.attr.ino;
}

/// Saves the directories last (their rows were changed on the way) and tells everybody.
void finish(Mutation& m, const fs::Rename& op, Parents& parents, const InodeRow& moved) {
  m.save_parent(parents.from);
  if (!parents.same()) m.save_parent(*parents.other);
  m.entry_changed(op.parent, op.name);
  m.entry_changed(op.new_parent, op.new_name);
  m.changes.inode = moved.guid;
  m.changes.parent = parents.from.guid;
  m.changes.name = op.name;
  m.changes.new_parent = parents.to().guid;
  m.changes.new_name = op.new_name;
}

fs::Renamed exchange(Mutation& m, const fs::Rename& op, Parents& parents, InodeRow& moved,
                     InodeRow& target) {
  m.store.inodes.repoint_entry(op.parent, op.name, target.attr.ino);
  m.store.inodes.repoint_entry(op.new_parent, op.new_name, moved.attr.ino);
  change_parent(moved, parents.from, parents.to());
  change_parent(target, parents.to(), parents.from);
  m.save(moved);
  m.save(target);
  finish(m, op, parents, moved);
  return {moved.attr, std::nullopt};
}

fs::Renamed move(Mutation& m, const fs::Rename& op, Parents& parents, InodeRow& moved,
                 std::optional<InodeRow>& target) {
  fs::Renamed answer;
  m.store.inodes.remove_entry(op.parent, op.name);
  change_parent(moved, parents.from, parents.to());
  if (target) {
    m.store.inodes.repoint_entry(op.new_parent, op.new_name, moved.attr.ino);
    if (is_directory(*target)) parents.to().attr.nlink -= 1;
    answer.replaced =
        m.drop_name(*target, {op.new_parent, op.new_name, op.hold, op.skip_trash, true});
  } else {
    parents.to().last_cookie += 1;
    m.store.inodes.add_entry(op.new_parent, op.new_name, moved.attr.ino, parents.to().last_cookie);
  }
  m.save(moved);
  finish(m, op, parents, moved);
  answer.moved = moved.attr;
  return answer;
}

}  // namespace

Result<fs::Answer> apply(Mutation& m, const fs::Rename& op) {
  ASTER_TRY(check_name(op.name));
  ASTER_TRY(check_name(op.new_name));
  if (op.no_replace && op.exchange) return fail(Errc::bad_request, "no_replace with exchange");
  ASTER_TRY(Parents parents, load_parents(m, op));
  std::optional<InodeRow> moved = m.store.inodes.child(op.parent, op.name);
  if (!moved || (op.only && moved->attr.ino != *op.only)) return fail(Errc::not_found);
  std::optional<InodeRow> target = m.store.inodes.child(op.new_parent, op.new_name);
  if (target && op.no_replace) return fail(Errc::exists);
  if (target && op.replaces && target->attr.ino != *op.replaces) return fail(Errc::exists);
  if (!target && op.exchange) return fail(Errc::not_found);
  if (target && target->attr.ino == moved->attr.ino) {
    return fs::Answer(fs::Renamed{std::move(moved->attr), std::nullopt});
  }
  ASTER_TRY(check_loops(m, op, parents, *moved, target));
  if (op.exchange) return fs::Answer(exchange(m, op, parents, *moved, *target));
  if (target) ASTER_TRY(check_replace(m, *moved, *target));
  return fs::Answer(move(m, op, parents, *moved, target));
}

}  // namespace aster::primary
