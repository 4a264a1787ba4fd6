#include "fuse/vfs/filesystem.h"

#include <algorithm>

#include "protocol/base/log.h"

namespace aster {
namespace {

/// How old the answer of statfs may be before it is asked for again.
constexpr std::chrono::seconds kStatFsAge{5};

}  // namespace

Filesystem::Filesystem(Parts parts, VfsOptions options)
    : parts_(parts),
      options_(options),
      remote_(parts.primary, parts.executor, parts.clock, options_),
      inodes_(parts.clock, options_.root,
              leased() ? InodeTable::kLeased : Duration(options_.entry_ttl)),
      locks_(parts.locks, parts.executor, options_.timeout),
      keeper_(parts.primary, parts.executor, parts.clock, options_.lease_term,
              {[this] { inodes_.expire_all(); },
               [this](SteadyTime until) { inodes_.believe_until(until); }}) {
  if (leased()) watch_lease();
}

Filesystem::~Filesystem() {
  stop();
  lifeline_->close();
}

void Filesystem::stop() {
  locks_.stop();
  remote_.stop();
}

void Filesystem::settle(const InodeTable::Noted& noted, const fs::Attr& attr) {
  if (noted.content) noted.content->observe(attr);
  if (noted.foreign) parts_.kernel.drop_content(attr.ino);
}

Duration Filesystem::for_kernel(Duration name_ttl) const {
  if (!leased() || parts_.kernel.can_drop_all_names()) return name_ttl;
  return std::min<Duration>(name_ttl, kShortNameTtl);
}

void Filesystem::doubt(const Error& error) {
  if (!leased()) return;
  switch (error.code) {
    case Errc::unavailable:
    case Errc::timeout:
    case Errc::interrupted:
    case Errc::internal:
      inodes_.expire_all();
      parts_.kernel.drop_all_names();
      break;
    default: break;  // refused: nothing was changed
  }
}

Attributes Filesystem::note(const fs::Attr& attr, InodeTable::Ticket ticket, bool own) {
  const InodeTable::Noted noted = inodes_.note(attr, ticket, own);
  settle(noted, attr);
  return noted.attributes;
}

Entry Filesystem::note_found(InodeNo parent, const std::string& name, const fs::Attr& attr,
                             InodeTable::Ticket ticket, bool own) {
  const InodeTable::Noted noted = inodes_.found(parent, name, attr, ticket, own);
  settle(noted, attr);
  return {noted.attributes.attr, noted.attributes.ttl, for_kernel(noted.name_ttl)};
}

std::optional<fs::Attr> Filesystem::old_entry(InodeNo parent, const std::string& name) const {
  const std::optional<InodeNo> child = inodes_.known_child(parent, name);
  return child ? inodes_.known(*child) : std::nullopt;
}

Task<Result<Found>> Filesystem::lookup(InodeNo parent, std::string name, Caller who) {
  if (name.size() > fs::kNameMax) co_return fail(Errc::name_too_long);
  if (std::optional<Found> known = inodes_.resolve(parent, name)) {
    known->ttl = for_kernel(known->ttl);
    if (known->entry) known->entry->entry_ttl = known->ttl;
    co_return *known;
  }
  const bool dots = name == "." || name == "..";
  if (leased() && !dots) {
    if (std::optional<Found> listed = find_listed(parent, name)) co_return *listed;
    if (listings_.missed(parent)) start(fetch_listing(parent));
  }
  const InodeTable::Ticket ticket = inodes_.ticket();
  fs::Operation question = fs::Lookup{parent, name};
  if (name == ".") question = fs::GetAttr{parent};
  if (name == "..") {  // asked for by NFS export only
    fs::Operation listing = fs::ReadDir{parent, 0, 1};
    ASTER_CO_TRY(const fs::DirPage page,
                 co_await remote_.call<fs::DirPage>(std::move(listing), who));
    question = fs::GetAttr{page.parent};
  }
  // What was never seen has no older answer: it is worth the whole deadline.
  const std::optional<fs::Attr> old = old_entry(parent, name);
  Task<Result<fs::Attr>> asking = old ? remote_.refreshed<fs::Attr>(std::move(question), who)
                                      : remote_.call<fs::Attr>(std::move(question), who);
  const Result<fs::Attr> attr = co_await std::move(asking);
  // By number alone only what has a name is found: the primary keeps the nameless for those who
  // have them open, and for those the kernel knows them.
  if (name == "." && attr.ok() && attr->nlink == 0) co_return fail(Errc::stale_handle, "removed");
  if (attr.ok()) {
    co_return Found{note_found(parent, name, *attr, ticket), Duration::zero()};
  }
  if (attr.failed_with(Errc::not_found)) {
    const Duration ttl = inodes_.name_ttl(parent, name, ticket);
    if (inodes_.known_child(parent, name)) {
      inodes_.forget_name(parent, name);
    } else {
      inodes_.set_absent(parent, name, ticket);
    }
    co_return Found{std::nullopt, for_kernel(ttl)};
  }
  if (old && remote_.may_serve_old(attr.error())) {
    // Counts the look-up; attributes from memory are as old as can be, hence ticket 0.
    inodes_.found(parent, name, *old, 0);
    co_return Found{Entry{*old, Duration::zero(), Duration::zero()}, Duration::zero()};
  }
  co_return attr.error();
}

void Filesystem::forget(InodeNo ino, uint64_t lookups) {
  inodes_.forget(ino, lookups);
}

Task<Result<Attributes>> Filesystem::getattr(InodeNo ino, Caller who) {
  if (const std::optional<Attributes> fresh = inodes_.fresh(ino)) co_return *fresh;
  const InodeTable::Ticket ticket = inodes_.ticket();
  const std::optional<fs::Attr> old = inodes_.known(ino);
  fs::Operation question = fs::GetAttr{ino};
  if (old && ino == options_.root) {
    // Whoever walks past the mount point (df, a shell, a login) must not hang.
    const Result<fs::Attr> root = co_await remote_.glanced<fs::Attr>(std::move(question));
    if (root.ok()) co_return note(*root, ticket);
    if (Remote::transient(root.error())) co_return Attributes{*old, Duration::zero()};
    co_return root.error();
  }
  Task<Result<fs::Attr>> asking = old ? remote_.refreshed<fs::Attr>(std::move(question), who)
                                      : remote_.call<fs::Attr>(std::move(question), who);
  const Result<fs::Attr> attr = co_await std::move(asking);
  if (attr.ok()) co_return note(*attr, ticket);
  // A removed directory that is still somebody's working directory: the primary has forgotten it.
  const bool removed = attr.failed_with(Errc::stale_handle) && inodes_.unlinked(ino);
  if (old && removed) co_return Attributes{*old, Duration::zero()};
  if (old && remote_.may_serve_old(attr.error())) {
    // Once more: unsent writes may have changed it meanwhile.
    co_return Attributes{inodes_.known(ino).value_or(*old), Duration::zero()};
  }
  co_return attr.error();
}

/// While somebody writes the file, what is set of it travels with what was written: they become
/// visible to others, and durable, together. What programs do before they close (tar, cp -a, rsync)
/// then costs no round trip.
std::optional<Attributes> Filesystem::defer(const fs::SetAttr& change) {
  const InodeNo ino = change.ino;
  if ((inodes_.writers(ino) == 0 && !waits_in_journal(ino)) || inodes_.unlinked(ino))
    return std::nullopt;
  const std::optional<fs::Attr> before = inodes_.known(ino);
  const std::shared_ptr<FileContent> content = inodes_.content_if_any(ino);
  if (!before || !content || !content->defer(change)) return std::nullopt;
  if (const std::optional<Attributes> fresh = inodes_.fresh(ino)) return fresh;
  return Attributes{inodes_.known(ino).value_or(*before), Duration::zero()};
}

Task<Result<Attributes>> Filesystem::setattr(fs::SetAttr wanted, Caller who) {
  if (options_.read_only) co_return fail(Errc::read_only);
  if (wanted.size) {
    ASTER_CO_TRY(std::shared_ptr<FileContent> content, co_await content_of(wanted.ino, who));
    auto cut = co_await truncate(std::move(content), wanted, who);
    co_return cut;
  }
  const InodeNo ino = wanted.ino;
  if (const std::optional<Attributes> later = defer(wanted)) co_return *later;
  if (wanted.mtime) {
    // A commit after this would set the time of its writes again: what was written before the
    // time was set must be committed before it.
    const std::shared_ptr<FileContent> content = inodes_.content_if_any(ino);
    if (content && content->dirty() && !inodes_.unlinked(ino)) {
      ASTER_CO_TRY(co_await drain_content(ino, content, who));
    }
  }
  if (wanted.atime) {
    accesses_.lock()->erase(ino.value);
    inodes_.forget_access(ino);
  }
  const InodeTable::Ticket ticket = inodes_.ticket();
  fs::Operation operation = std::move(wanted);
  ASTER_CO_TRY(const fs::Attr attr, co_await change<fs::Attr>(std::move(operation), who));
  co_return note(attr, ticket, true);
}

Task<Result<std::string>> Filesystem::readlink(InodeNo ino, Caller who) {
  was_read(ino);
  // The target of a symlink never changes.
  if (const std::optional<fs::Attr> known = inodes_.known(ino)) co_return known->target;
  ASTER_CO_TRY(const Attributes attributes, co_await getattr(ino, who));
  co_return attributes.attr.target;
}

fs::StatFsAnswer Filesystem::statfs() {
  bool refresh = false;
  fs::StatFsAnswer answer;
  {
    auto cache = statfs_.lock();
    answer = cache->answer;
    const SteadyTime now = parts_.clock.steady();
    if (!cache->under_way && now >= cache->next) {
      cache->under_way = refresh = true;
      cache->next = now + kStatFsAge;
    }
  }
  if (refresh) start(refresh_statfs());
  return answer;
}

Task<fs::StatFsAnswer> Filesystem::statfs_of(InodeNo ino) {
  fs::Operation question = fs::StatFs{ino};
  const Result<fs::StatFsAnswer> answer =
      co_await remote_.glanced<fs::StatFsAnswer>(std::move(question));
  co_return answer.ok() ? *answer : statfs();
}

Task<void> Filesystem::refresh_statfs() {
  const std::optional<Lifeline::Guard> alive = lifeline_->enter();
  if (!alive) co_return;
  co_await parts_.executor.hop();
  fs::Operation question = fs::StatFs{options_.root};
  const Caller nobody;
  const Result<fs::StatFsAnswer> answer =
      co_await remote_.refreshed<fs::StatFsAnswer>(std::move(question), nobody);
  auto cache = statfs_.lock();
  cache->under_way = false;
  if (answer.ok()) cache->answer = *answer;
}

}  // namespace aster
