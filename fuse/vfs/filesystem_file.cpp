#include <fcntl.h>
#include <linux/falloc.h>

#include <algorithm>

#include "fuse/vfs/filesystem.h"
#include "fuse/vfs/write_leases.h"
#include "protocol/base/log.h"

namespace aster {
namespace {

/// First and longest pause between attempts to send what a failed close left behind.
constexpr std::chrono::milliseconds kFirstPause{1000};
constexpr std::chrono::milliseconds kLongestPause{60000};

/// The kernel's repetition of a failed read comes within milliseconds, a program's may come later.
constexpr std::chrono::milliseconds kFailedReadAge{1000};

/// One answer of copy_file_range(2) to the kernel holds 32 bits; a round number below.
constexpr uint64_t kCopyMax = 1ull << 30;

}  // namespace

Task<Result<std::shared_ptr<FileContent>>> Filesystem::content_of(InodeNo ino, Caller who) {
  if (auto content = inodes_.content_if_any(ino)) co_return content;
  ASTER_CO_TRY(const Attributes attributes, co_await getattr(ino, who));
  if (attributes.attr.type == fs::FileType::directory) co_return fail(Errc::is_directory);
  if (attributes.attr.type != fs::FileType::regular) co_return fail(Errc::bad_request);
  co_return inodes_.content(attributes.attr, parts_.io);
}

Task<Result<Attributes>> Filesystem::truncate(std::shared_ptr<FileContent> content,
                                              fs::SetAttr change, Caller who) {
  const InodeTable::Ticket ticket = inodes_.ticket();
  std::function<Task<Result<fs::Attr>>()> attempt = [content, change] {
    return content->truncate(change);
  };
  const Result<fs::Attr> attr = co_await remote_.persist<fs::Attr>(std::move(attempt), who);
  if (!attr.ok()) {
    doubt(attr.error());
    co_return attr.error();
  }
  co_return note(*attr, ticket, true);
}

Opened Filesystem::open_handle(const fs::Attr& attr, int flags) {
  auto file = std::make_shared<FileHandle>();
  file->ino = attr.ino;
  file->flags = flags;
  file->content = inodes_.content(attr, parts_.io);
  file->ahead = parts_.io.read_ahead();
  Opened opened;
  opened.keep_cache = inodes_.opened(attr.ino, file->writes(), attr.data_version);
  // The first read after a change counts as an access; from the kernel's pages it would go unseen.
  // For what one request brings back that is worth it.
  const bool cheap = attr.size <= kBlockSize;
  if (cheap && file->counts_access() && access_is_news(attr)) opened.keep_cache = false;
  // Also close(2) of a file that is only read ends locks.
  opened.no_flush = !file->writes() && parts_.locks == nullptr;
  opened.handle = files_.add(std::move(file));
  return opened;
}

// Whoever goes through a directory (grep, tar, a backup) then waits for a round trip per some
// dozen files, not for two per file.
void Filesystem::warm_siblings(InodeNo ino) {
  const auto name = inodes_.any_name(ino);
  if (!leased() || !name) return;
  std::vector<std::shared_ptr<FileContent>> contents;
  for (const InodeNo next : listings_.next_to_read(name->first, name->second)) {
    if (auto content = inodes_.content_ahead(next, parts_.io)) {
      contents.push_back(std::move(content));
    }
  }
  if (!contents.empty()) parts_.io.warm(std::move(contents));
}

Task<Result<Opened>> Filesystem::open(InodeNo ino, int flags, Caller who) {
  const bool writes = (flags & O_ACCMODE) != O_RDONLY;
  if (options_.read_only && writes) co_return fail(Errc::read_only);
  ASTER_CO_TRY(Attributes attributes, co_await getattr(ino, who));
  if (attributes.attr.type != fs::FileType::regular) co_return fail(Errc::unsupported);
  if ((flags & O_TRUNC) && writes) {
    ASTER_CO_TRY(std::shared_ptr<FileContent> content, co_await content_of(ino, who));
    fs::SetAttr cut;
    cut.ino = ino;
    cut.size = 0;
    Result<Attributes> after = co_await truncate(std::move(content), cut, who);
    if (!after.ok()) co_return after.error();
    attributes = *after;
  }
  if (!writes && DirCache::is_small_file(attributes.attr)) warm_siblings(ino);
  co_return open_handle(attributes.attr, flags);
}

Task<Result<Created>> Filesystem::create(CreateArgs args, Caller who) {
  fs::Create create;
  create.parent = args.parent;
  create.name = args.name;
  create.mode = args.mode;
  create.umask = args.umask;
  create.exclusive = (args.flags & O_EXCL) != 0;
  ASTER_CO_TRY(Entry entry, co_await add(std::move(create), who));
  Error error{Errc::exists, "not a regular file"};
  if (entry.attr.type == fs::FileType::regular) {
    // Without O_EXCL somebody else may have made it just before, and filled it.
    const bool made = entry.attr.size == 0 && entry.attr.ctime == entry.attr.btime;
    if (made) {
      inodes_.set_xattr_names(entry.attr.ino, {}, inodes_.ticket());
      co_return Created{entry, open_handle(entry.attr, args.flags)};
    }
    Result<Opened> opened = co_await open(entry.attr.ino, args.flags, who);
    if (opened.ok()) co_return Created{entry, *opened};
    error = opened.error();
  }
  inodes_.forget(entry.attr.ino, 1);
  co_return error;
}

Task<Result<std::vector<Bytes>>> Filesystem::read(HandleId handle, uint64_t offset, uint64_t length,
                                                  Caller who) {
  ASTER_CO_TRY(const std::shared_ptr<FileHandle> file, files_.find(handle));
  if (leased() && !inodes_.trusted()) {
    // Events may be missing: what the manifest at hand says need not be the case any more.
    const Result<Attributes> now = co_await getattr(file->ino, who);
    const bool gone = now.failed_with(Errc::stale_handle);  // a held file keeps its content
    if (!now.ok() && !gone) co_return now.error();
  }
  if (file->counts_access()) was_read(file->ino);
  if (!remote_.hard()) {
    {
      const auto failed = file->failed.lock();
      const bool again = offset < failed->end && offset + length > failed->offset;
      if (again && parts_.clock.steady() < failed->until) co_return failed->error;
    }
    auto pieces = co_await file->content->read(offset, length, file->ahead);
    if (pieces.failed_with(Errc::unavailable) || pieces.failed_with(Errc::timeout)) {
      *file->failed.lock() = {pieces.error(), offset, offset + length,
                              parts_.clock.steady() + kFailedReadAge};
    }
    co_return pieces;
  }
  std::function<Task<Result<std::vector<Bytes>>>()> attempt = [file, offset, length] {
    return file->content->read(offset, length, file->ahead);
  };
  auto pieces = co_await remote_.persist<std::vector<Bytes>>(std::move(attempt), who);
  co_return pieces;
}

Task<Result<size_t>> Filesystem::write(HandleId handle, Bytes data, WriteArgs args, Caller) {
  ASTER_CO_TRY(const std::shared_ptr<FileHandle> file, files_.find(handle));
  const size_t size = data.size();
  if (args.offset > fs::kFileSizeMax - size) co_return fail(Errc::too_large);
  if ((args.flags & O_APPEND) == 0 || args.from_pages) {
    ASTER_CO_TRY(co_await file->content->write(args.offset, std::move(data)));
    co_return size;
  }
  ASTER_CO_TRY(const uint64_t used, co_await file->content->append(std::move(data)));
  if (used != args.offset) {
    // The kernel put the bytes where it believed the end of the file to be.
    inodes_.expire(file->ino);
    parts_.kernel.drop_content(file->ino);
  }
  co_return size;
}

Task<Result<void>> Filesystem::flush_content(InodeNo ino, std::shared_ptr<FileContent> content,
                                             bool sealed, Caller who) {
  const bool was_dirty = content->dirty();
  name_for_journal(ino, *content);
  // On its way while the data is.
  if (options_.write_leases && !options_.journal) options_.write_leases->hurry();
  const InodeTable::Ticket ticket = inodes_.ticket();
  std::function<Task<Result<void>>()> attempt = [content, sealed] {
    return content->flush(sealed);
  };
  const Result<void> flushed = co_await remote_.persist<void>(std::move(attempt), who);
  if (waits_in_journal(ino)) {
    if (!flushed.ok()) parts_.io.unsent_errors().note(ino, flushed, parts_.clock.now_ns());
    co_await send_unless_covered(ino, content);
  } else {
    if (was_dirty) inodes_.committed(ino, ticket);
    note_refusal(ino, flushed);
  }
  if (!flushed.ok()) co_return flushed;
  const Result<void> named = co_await name_kept(ino, who);  // of what use is data without it
  co_return named;
}

Task<Result<void>> Filesystem::drain_content(InodeNo ino, std::shared_ptr<FileContent> content,
                                             Caller who) {
  const bool was_dirty = content->dirty();
  const InodeTable::Ticket ticket = inodes_.ticket();
  std::function<Task<Result<void>>()> attempt = [content] { return content->drain(false); };
  const Result<void> drained = co_await remote_.persist<void>(std::move(attempt), who);
  if (was_dirty) inodes_.committed(ino, ticket);
  note_refusal(ino, drained);
  co_return drained;
}

Task<Result<void>> Filesystem::flush(HandleId handle, Caller who, uint64_t lock_owner) {
  ASTER_CO_TRY(const std::shared_ptr<FileHandle> file, files_.find(handle));
  if (lock_owner != 0) {
    // After what was written under the lock has been sent, as far as it can be.
    auto flushed = co_await flush(handle, who);
    const Result<void> unlocked = co_await locks_.closed(file->ino, lock_owner);
    if (flushed.ok() && !unlocked.ok()) co_return unlocked;
    co_return flushed;
  }
  if (!file->writes()) co_return ok();
  // Nobody can find a file without a name after a crash: its data need not travel.
  if (inodes_.unlinked(file->ino)) co_return ok();
  const bool last_writer = inodes_.writers(file->ino) <= 1;
  auto flushed = co_await flush_content(file->ino, file->content, last_writer, who);
  co_return flushed.ok() ? unseen_refusal(*file) : flushed;
}

Task<Result<void>> Filesystem::fsync(HandleId handle, Caller who) {
  ASTER_CO_TRY(const std::shared_ptr<FileHandle> file, files_.find(handle));
  if (inodes_.unlinked(file->ino)) co_return ok();
  auto flushed = co_await flush_content(file->ino, file->content, false, who);
  co_return flushed.ok() ? unseen_refusal(*file) : flushed;
}

Task<Result<void>> Filesystem::set_lock(FileLocks::Wish wish, bool wait, Caller who) {
  const std::shared_ptr<FileContent> content = inodes_.content_if_any(wish.ino);
  if (content && content->dirty() && !inodes_.unlinked(wish.ino) && locks_.gives_up(wish)) {
    const Result<void> sent = co_await flush_content(wish.ino, content, false, who);
    if (!sent.ok()) {
      ASTER_LOG(warn, "not_sent_before_unlock", {"ino", wish.ino.value}, {"err", sent.error()});
    }
  }
  const Result<void> done = co_await locks_.set(wish, wait, who);
  co_return done;
}

void Filesystem::release(HandleId handle) {
  const std::shared_ptr<FileHandle> file = files_.remove(handle);
  if (!file) return;
  locks_.released(handle, file->ino);
  const bool writes = file->writes();
  const InodeTable::Closed closed = inodes_.closed(file->ino, writes);
  if (!closed.last) return;
  if (closed.held) {
    in_background(fs::Release{file->ino});
  } else if (closed.content && closed.content->dirty() && !inodes_.unlinked(file->ino)) {
    // Pages of a shared mapping that were written after the last close(2), or a close that failed.
    finish_in_background(file->ino, std::chrono::milliseconds(0));
  }
}

void Filesystem::finish_in_background(InodeNo ino, std::chrono::milliseconds pause) {
  const bool first = finishing_.lock()->due.insert(ino.value).second;
  if (!first) return;
  parts_.executor.post_after(pause, [this, lifeline = lifeline_, ino, pause] {
    if (const auto alive = lifeline->enter()) finish(ino, pause);
  });
}

// Packs and batches cost the servers little more than a file alone does, and what is written again
// or removed meanwhile need not travel at all.
void Filesystem::finish_with_others(InodeNo ino) {
  if (options_.journal->half_full()) {
    finish_in_background(ino, std::chrono::milliseconds(0));
    return;
  }
  {
    auto finishing = finishing_.lock();
    if (!finishing->due.insert(ino.value).second) return;
    finishing->gathered.push_back(ino);
    if (finishing->gathered.size() > 1) return;
  }
  parts_.executor.post_after(options_.gather, [this, lifeline = lifeline_] {
    const std::optional<Lifeline::Guard> alive = lifeline->enter();
    if (!alive) return;
    for (const InodeNo next : std::exchange(finishing_.lock()->gathered, {})) {
      finish(next, std::chrono::milliseconds(0));
    }
  });
}

void Filesystem::finish(InodeNo ino, std::chrono::milliseconds pause) {
  std::optional<Lifeline::Guard> alive = lifeline_->enter();
  if (!alive || remote_.stopped()) return;
  finishing_.lock()->due.erase(ino.value);
  auto guard = std::make_shared<Lifeline::Guard>(std::move(*alive));
  // The table keeps an inode that is dirty; what is gone by now has nothing to send.
  const std::shared_ptr<FileContent> content = inodes_.content_if_any(ino);
  if (!content) return;
  const InodeTable::Ticket ticket = inodes_.ticket();
  start<Result<void>>(content->drain(inodes_.writers(ino) == 0),
                      [this, guard, ino, content, pause, ticket](Result<void> done) {
                        if (done.ok()) inodes_.committed(ino, ticket);
                        finished(ino, *content, done, pause);
                      });
}

void Filesystem::finished(InodeNo ino, const FileContent& content, const Result<void>& done,
                          std::chrono::milliseconds pause) {
  note_refusal(ino, done);
  if (done.ok() && waits_in_journal(ino) && !remote_.stopped()) {
    finish_with_others(ino);  // journaled meanwhile
    return;
  }
  if (done.ok() || inodes_.unlinked(ino) || !content.dirty() || remote_.stopped()) {
    inodes_.collect(ino);
    return;
  }
  ASTER_LOG(warn, "unsent_data", {"ino", ino.value}, {"err", done.error()});
  finish_in_background(
      ino, std::clamp<std::chrono::milliseconds>(2 * pause, kFirstPause, kLongestPause));
}

Task<Result<void>> Filesystem::commit_range(std::shared_ptr<FileHandle> file, fs::Commit commit,
                                            Caller who) {
  commit.ino = file->ino;
  const InodeTable::Ticket ticket = inodes_.ticket();
  fs::Operation operation = std::move(commit);
  ASTER_CO_TRY(const fs::Attr attr, co_await change<fs::Attr>(std::move(operation), who));
  note(attr, ticket, true);
  co_return ok();
}

Result<void> Filesystem::check_space(uint64_t size, RangeArgs range) {
  const uint64_t begin = std::max(range.offset, size);
  const uint64_t end = range.offset + range.length;
  const fs::StatFsAnswer space = statfs();
  if (end <= begin || space.total_bytes == 0) return ok();  // zero: nobody has said yet
  if (end - begin > space.free_bytes) return fail(Errc::no_space, "more than the drive has free");
  return ok();
}

Task<Result<void>> Filesystem::fallocate(HandleId handle, int mode, RangeArgs range, Caller who) {
  ASTER_CO_TRY(const std::shared_ptr<FileHandle> file, files_.find(handle));
  const bool keep_size = (mode & FALLOC_FL_KEEP_SIZE) != 0;
  const bool zero = (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0;
  const int known = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
  if ((mode & ~known) != 0) co_return fail(Errc::unsupported);
  if (range.length == 0 || range.offset > fs::kFileSizeMax - range.length) {
    co_return fail(range.length == 0 ? Errc::bad_request : Errc::too_large);
  }
  if (keep_size && !zero) {  // asks for space alone, and none is reserved
    ASTER_CO_TRY(const Attributes kept, co_await getattr(file->ino, who));
    co_return check_space(kept.attr.size, range);
  }
  ASTER_CO_TRY(co_await drain_content(file->ino, file->content, who));
  ASTER_CO_TRY(const Attributes now, co_await getattr(file->ino, who));
  const uint64_t end = range.offset + range.length;
  const uint64_t size = now.attr.size;
  if (!zero) ASTER_CO_TRY(check_space(size, range));
  fs::Commit commit;
  if (zero && range.offset < size) {
    commit.extents.push_back({range.offset, std::min(end, size) - range.offset, std::nullopt, 0});
  }
  if (!keep_size && end > size) commit.min_size = end;
  if (commit.extents.empty() && !commit.min_size) co_return ok();
  auto committed = co_await commit_range(file, std::move(commit), who);
  co_return committed;
}

Task<Result<uint64_t>> Filesystem::seek(HandleId handle, uint64_t offset, bool hole, Caller who) {
  ASTER_CO_TRY(const std::shared_ptr<FileHandle> file, files_.find(handle));
  std::function<Task<Result<uint64_t>>()> attempt = [file, offset, hole] {
    return file->content->seek(offset, hole);
  };
  auto found = co_await remote_.persist<uint64_t>(std::move(attempt), who);
  co_return found;
}

Task<Result<uint64_t>> Filesystem::copy_range(HandleId source, uint64_t source_offset,
                                              HandleId target, RangeArgs target_range, Caller who) {
  ASTER_CO_TRY(const std::shared_ptr<FileHandle> from, files_.find(source));
  ASTER_CO_TRY(const std::shared_ptr<FileHandle> to, files_.find(target));
  ASTER_CO_TRY(co_await drain_content(from->ino, from->content, who));
  if (to->ino != from->ino) {
    ASTER_CO_TRY(co_await drain_content(to->ino, to->content, who));
  }
  ASTER_CO_TRY(const Attributes now, co_await getattr(from->ino, who));
  if (source_offset >= now.attr.size) co_return uint64_t{0};
  const uint64_t length = std::min({target_range.length, now.attr.size - source_offset, kCopyMax});
  const InodeTable::Ticket ticket = inodes_.ticket();
  fs::Operation copy =
      fs::CopyRange{from->ino, source_offset, to->ino, target_range.offset, length};
  ASTER_CO_TRY(const fs::Attr attr, co_await change<fs::Attr>(std::move(copy), who));
  note(attr, ticket, true);
  co_return length;
}

}  // namespace aster
