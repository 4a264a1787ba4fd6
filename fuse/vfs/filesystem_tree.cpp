#include <fcntl.h>
#include <stdio.h>

#include "fuse/vfs/filesystem.h"
#include "fuse/vfs/write_leases.h"
#include "protocol/base/log.h"

namespace aster {

Task<Result<Entry>> Filesystem::add(fs::Create create, Caller who) {
  if (options_.read_only) co_return fail(Errc::read_only);
  if (create.name.size() > fs::kNameMax) co_return fail(Errc::name_too_long);
  create.uid = who.uid;
  create.gid = who.gid;
  const InodeNo parent = create.parent;
  const std::string name = create.name;
  const Changing changing(*this, parent);
  const InodeTable::Ticket ticket = inodes_.ticket();
  fs::Operation operation = std::move(create);
  std::vector<InodeNo> changed{parent};
  ASTER_CO_TRY(const fs::Attr attr,
               co_await change_names<fs::Attr>(std::move(operation), std::move(changed), who));
  co_return note_found(parent, name, attr, ticket, true);
}

Task<Result<Entry>> Filesystem::make(NewNode node, Caller who) {
  fs::Create create;
  create.parent = node.parent;
  create.name = std::move(node.name);
  create.type = node.type;
  create.mode = node.mode;
  create.rdev = node.rdev;
  create.umask = node.umask;
  create.target = std::move(node.target);
  if (create.target.size() > fs::kSymlinkMax) co_return fail(Errc::name_too_long);
  ASTER_CO_TRY(const Entry entry, co_await add(std::move(create), who));
  inodes_.set_xattr_names(entry.attr.ino, {}, inodes_.ticket());
  co_return entry;
}

Task<Result<Entry>> Filesystem::link(InodeNo ino, InodeNo parent, std::string name, Caller who) {
  if (options_.read_only) co_return fail(Errc::read_only);
  if (name.size() > fs::kNameMax) co_return fail(Errc::name_too_long);
  const Changing changing(*this, parent);
  const InodeTable::Ticket ticket = inodes_.ticket();
  fs::Operation operation = fs::Link{ino, parent, name};
  std::vector<InodeNo> changed{parent};
  ASTER_CO_TRY(const fs::Attr attr,
               co_await change_names<fs::Attr>(std::move(operation), std::move(changed), who));
  co_return note_found(parent, name, attr, ticket, true);
}

void Filesystem::note_changed(InodeNo ino, InodeTable::Ticket ticket,
                              const Result<fs::Answer>* told) {
  const auto* attr = told != nullptr && told->ok() ? std::get_if<fs::Attr>(&**told) : nullptr;
  if (attr == nullptr) {
    inodes_.expire(ino);
  } else {
    note(*attr, ticket, true);
  }
}

void Filesystem::after_removal(const fs::Removed& removed, bool asked_to_hold) {
  if (removed.nlink > 0) {
    if (asked_to_hold) in_background(fs::Release{removed.ino});
    return;
  }
  inodes_.set_unlinked(removed.ino);
  if (options_.journal != nullptr) options_.journal->drop(removed.ino);
  const bool open = inodes_.set_held(removed.ino);
  // Opened or closed while the answer was under way: tell the primary what is the case now.
  if (open && !asked_to_hold) in_background(fs::Hold{removed.ino});
  if (!open && asked_to_hold) in_background(fs::Release{removed.ino});
}

Task<Result<void>> Filesystem::unlink(InodeNo parent, std::string name, Caller who) {
  if (options_.read_only) co_return fail(Errc::read_only);
  const std::optional<InodeNo> victim = inodes_.known_child(parent, name);
  const bool hold = victim && inodes_.is_open(*victim);
  const Changing changing(*this, parent);
  fs::Operation operation = fs::Unlink{parent, name, hold, !options_.trash};
  std::vector<InodeNo> changed{parent};
  const std::optional<fs::Attr> old = victim ? inodes_.known(*victim) : std::nullopt;
  const bool other_names = old && old->nlink > 1;
  if (other_names) changed.push_back(*victim);
  ASTER_CO_TRY(const fs::Removed removed,
               co_await change_names<fs::Removed>(std::move(operation), std::move(changed), who));
  inodes_.forget_name(parent, name);
  if (!other_names || removed.ino != *victim) inodes_.expire(removed.ino);
  after_removal(removed, hold);
  co_return ok();
}

Task<Result<void>> Filesystem::rmdir(InodeNo parent, std::string name, Caller who) {
  if (options_.read_only) co_return fail(Errc::read_only);
  const Changing changing(*this, parent);
  fs::Operation operation = fs::Rmdir{parent, name, !options_.trash};
  std::vector<InodeNo> changed{parent};
  ASTER_CO_TRY(const fs::Removed removed,
               co_await change_names<fs::Removed>(std::move(operation), std::move(changed), who));
  inodes_.forget_name(parent, name);
  inodes_.expire(removed.ino);
  inodes_.set_unlinked(removed.ino);
  co_return ok();
}

Task<Result<void>> Filesystem::rename(RenameArgs args, Caller who) {
  if (options_.read_only) co_return fail(Errc::read_only);
  if (args.flags & ~static_cast<unsigned>(RENAME_NOREPLACE | RENAME_EXCHANGE)) {
    co_return fail(Errc::bad_request, "rename flags");
  }
  if (args.new_name.size() > fs::kNameMax) co_return fail(Errc::name_too_long);
  const std::optional<InodeNo> source = inodes_.known_child(args.parent, args.name);
  const std::optional<InodeNo> target = inodes_.known_child(args.new_parent, args.new_name);
  const Changing changing(*this, args.parent, args.new_parent);
  const bool exchange = (args.flags & RENAME_EXCHANGE) != 0;
  const bool kept = source && options_.write_leases && options_.write_leases->covers(*source);
  if (source && !kept) {
    ASTER_CO_TRY(co_await drain_before_rename(*source, who));
  }
  const bool hold = !exchange && target && inodes_.is_open(*target);
  fs::Operation operation = fs::Rename{
      args.parent, args.name, args.new_parent, args.new_name, (args.flags & RENAME_NOREPLACE) != 0,
      exchange,    hold,      !options_.trash};
  const InodeTable::Ticket ticket = inodes_.ticket();
  std::vector<InodeNo> changed{args.parent};
  if (args.new_parent != args.parent) changed.push_back(args.new_parent);
  ASTER_CO_TRY(const fs::Renamed renamed,
               co_await change_names<fs::Renamed>(std::move(operation), std::move(changed), who));
  // Two names of one inode: rename(2) does nothing, both names stay.
  const bool moved = exchange || !source || !target || *source != *target;
  if (moved) {
    inodes_.forget_name(args.parent, args.name);
    inodes_.set_name(args.new_parent, args.new_name, renamed.moved.ino);
    if (exchange && target) inodes_.set_name(args.parent, args.name, *target);
    if (exchange && target) inodes_.expire(*target);
  }
  note(renamed.moved, ticket, true);
  if (renamed.replaced) {
    inodes_.expire(renamed.replaced->ino);
    after_removal(*renamed.replaced, hold);
  } else if (hold) {
    in_background(fs::Release{*target});
  }
  co_return ok();
}

void Filesystem::in_background(fs::Operation operation) {
  std::optional<Lifeline::Guard> alive = lifeline_->enter();
  if (!alive) return;
  auto guard = std::make_shared<Lifeline::Guard>(std::move(*alive));
  const std::string name(fs::operation_name(operation));
  start<Result<fs::Answer>>(
      remote_.ask(std::move(operation), Caller{}), [guard, name](Result<fs::Answer> answer) {
        if (answer.ok()) return;
        ASTER_LOG(warn, "background_call_failed", {"op", name}, {"err", answer.error()});
      });
}

}  // namespace aster
