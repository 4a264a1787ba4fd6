#include <algorithm>

#include "fuse/vfs/filesystem.h"
#include "protocol/base/log.h"

namespace aster {
namespace {

constexpr size_t kFlushesAtOnce = 32;
constexpr std::chrono::seconds kProgressEvery{5};

/// How often it is looked whether the lease is over: timers stand still while the machine sleeps.
/// While it is over, pages that were read meanwhile leave the kernel as often.
constexpr Duration kLeasePeriod = std::chrono::seconds(3);

bool away(const Result<void>& result) {
  return result.failed_with(Errc::unavailable) || result.failed_with(Errc::timeout);
}

}  // namespace

Filesystem::Changing::Changing(Filesystem& filesystem, InodeNo directory, InodeNo other)
    : filesystem_(filesystem), directories_{directory, other} {
  for (const InodeNo one : directories_) {
    if (one) ++(*filesystem_.changing_.lock())[one.value];
  }
  for (const InodeNo one : directories_) {
    if (one) filesystem_.release_entries(one);
  }
}

Filesystem::Changing::~Changing() {
  const auto changing = filesystem_.changing_.lock();
  for (const InodeNo one : directories_) {
    if (one && --changing->at(one.value) == 0) changing->erase(one.value);
  }
}

bool Filesystem::being_changed(InodeNo directory) const {
  return changing_.lock()->contains(directory.value);
}

// Two mounts that change one directory would wait for each other: the kernel takes the directory's
// lock to drop a name, our change under way keeps it, and its answer waits until the other mount
// has acknowledged ours.
void Filesystem::release_entries(InodeNo directory) {
  const std::vector<DropToken> tokens = parts_.kernel.pending_entries(directory);
  if (tokens.empty() || parts_.kernel.drop_all_names()) return;
  // For longer the kernel was not told to believe any name: see for_kernel().
  parts_.executor.post_after(kShortNameTtl, [tokens] {});
}

void Filesystem::drop_entry(const fs::Invalidation::Entry& entry, const DropToken& token) {
  listings_.drop(entry.parent);
  parts_.kernel.drop_entry(entry.parent, entry.name, token);
  // In this order: whoever comes between finds the entry pending.
  if (being_changed(entry.parent)) release_entries(entry.parent);
}

// Somebody is about to keep changes of the directory to themselves.
void Filesystem::drop_all_entries(InodeNo directory, const DropToken& token) {
  inodes_.forget_names(directory);
  listings_.drop(directory);
  if (parts_.kernel.drop_all_names()) return;
  parts_.executor.post_after(kShortNameTtl, [token] {});
}

void Filesystem::on_event(const fs::Invalidation& event, bool recalled) {
  const DropToken token = keeper_.event(event.cursor, recalled);
  // Our own memory first, then the kernel's: what the kernel asks for after it forgot must not be
  // answered from the old state.
  for (const fs::Invalidation::Inode& change : event.inodes) {
    const bool tracked = inodes_.event(change.ino, change.content);
    if (!tracked) continue;
    if (change.content) {
      if (const auto content = inodes_.content_if_any(change.ino)) content->invalidate();
      parts_.kernel.drop_content(change.ino, token);
    } else {
      parts_.kernel.drop_attributes(change.ino, token);
    }
    if (!change.unlinked) continue;
    if (inodes_.set_held(change.ino)) in_background(fs::Hold{change.ino});
    inodes_.set_unlinked(change.ino);
  }
  for (const fs::Invalidation::Entry& entry : event.entries) {
    if (entry.name.empty()) {
      drop_all_entries(entry.parent, token);
      continue;
    }
    inodes_.forget_name(entry.parent, entry.name);
    drop_entry(entry, token);
  }
}

void Filesystem::on_reset() {
  ASTER_LOG(warn, "everything_expired", {"reason", "events may have been missed"});
  const DropToken token = keeper_.barrier();
  const std::vector<InodeNo> all = inodes_.reset();
  for (const InodeNo ino : all) {
    if (const auto content = inodes_.content_if_any(ino)) content->invalidate();
    parts_.kernel.drop_content(ino, token);
  }
  // Without leases the kernel believes names for the entry_ttl at most.
  if (leased() && !parts_.kernel.drop_all_names()) {
    parts_.executor.post_after(kShortNameTtl, [token] {});
  }
  for (const InodeNo ino : inodes_.held()) in_background(fs::Hold{ino});
}

void Filesystem::on_lease(uint64_t lease) {
  // Another number may mean another start of the primary, which has forgotten all locks, or another
  // session, which holds none of the files without names either.
  if (std::exchange(lease_, lease) != lease) {
    locks_.reclaim();
    for (const InodeNo ino : inodes_.held()) in_background(fs::Hold{ino});
  }
  keeper_.noticed(lease);
}

// The kernel reads pages that it has without asking anybody. Whoever has a file open would go on
// with its old content when the lease is over and others may change it.
void Filesystem::watch_lease() {
  const Duration left = inodes_.still_believed(kLeasePeriod);
  if (left <= Duration::zero()) {
    for (const InodeNo ino : inodes_.open_files()) parts_.kernel.drop_content(ino);
  }
  const Duration next = left > Duration::zero() ? left : kLeasePeriod;
  parts_.executor.post_after(next, [this, weak = std::weak_ptr<Lifeline>(lifeline_)] {
    const std::shared_ptr<Lifeline> lifeline = weak.lock();
    if (!lifeline) return;
    const std::optional<Lifeline::Guard> alive = lifeline->enter();
    if (alive) watch_lease();
  });
}

void Filesystem::on_state(bool alive) {
  if (remote_.alive() != alive) {
    ASTER_LOG(info, "event_stream", {"alive", alive});
  }
  remote_.set_alive(alive);
  if (!leased()) {
    inodes_.set_trusted(alive);
  } else if (!alive) {
    keeper_.stream_lost();
  }
}

Task<Result<void>> Filesystem::flush_last(InodeNo ino, std::shared_ptr<FileContent> content,
                                          bool to_servers) {
  name_for_journal(ino, *content);
  const InodeTable::Ticket ticket = inodes_.ticket();
  Task<Result<void>> task = to_servers ? content->drain(true) : content->flush(true);
  const Result<void> flushed = co_await std::move(task);
  if (flushed.ok() && !waits_in_journal(ino)) {
    inodes_.committed(ino, ticket);
    inodes_.collect(ino);
  }
  if (!flushed.ok() && waits_in_journal(ino)) {
    ASTER_LOG(warn, "unsent_data_kept", {"ino", ino.value}, {"err", flushed.error()});
  } else if (!flushed.ok()) {
    ASTER_LOG(error, "unsent_data_lost", {"ino", ino.value},
              {"file_bytes", content->size().value_or(0)}, {"err", flushed.error()});
  }
  co_return flushed;
}

Task<size_t> Filesystem::flush_all() {
  if (inodes_.trusted()) co_await send_accesses();
  // With a journal everything is made safe there first, whatever the servers do afterwards.
  size_t failed = co_await flush_files(false);
  if (options_.journal != nullptr) {
    (void)co_await flush_files(true);
    (void)co_await parts_.primary.settle(options_.timeout);
    co_return failed;
  }
  const Result<void> settled = co_await parts_.primary.settle(options_.timeout);
  const size_t names = settled.ok() ? 0 : unsent_names();
  if (names > 0) ASTER_LOG(error, "unsent_names_lost", {"names", names});
  co_return failed + names;
}

Task<size_t> Filesystem::flush_files(bool to_servers) {
  const auto dirty = inodes_.dirty();
  size_t failed = 0;
  SteadyTime told = parts_.clock.steady();
  for (size_t begin = 0; begin < dirty.size(); begin += kFlushesAtOnce) {
    const size_t end = std::min(begin + kFlushesAtOnce, dirty.size());
    std::vector<Task<Result<void>>> round;
    for (size_t i = begin; i < end; ++i) {
      round.push_back(flush_last(dirty[i].first, dirty[i].second, to_servers));
    }
    const std::vector<Result<void>> results = co_await when_all(std::move(round));
    const auto bad = std::count_if(results.begin(), results.end(), away);
    failed += static_cast<size_t>(
        std::count_if(results.begin(), results.end(), [](const auto& r) { return !r.ok(); }));
    if (parts_.clock.steady() >= told + kProgressEvery) {
      told = parts_.clock.steady();
      ASTER_LOG(info, "still_sending", {"files_left", dirty.size() - end});
    }
    // Servers that answer none of a whole round would cost every further round its full deadline.
    if (static_cast<size_t>(bad) < results.size()) continue;
    if (!to_servers) ASTER_LOG(error, "unsent_data_lost", {"further_files", dirty.size() - end});
    co_return failed + dirty.size() - end;
  }
  co_return failed;
}

}  // namespace aster
