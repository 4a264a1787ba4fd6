#include <fcntl.h>
#include <sys/file.h>

#include "fuse/kernel/dispatch.h"

namespace aster {
namespace {

/// The kernel gives l_len = 0 for "to the end", and l_start counted from the beginning.
fs::RangeLock range_of(const struct flock& lock, pid_t pid) {
  fs::RangeLock range;
  range.start = static_cast<uint64_t>(lock.l_start);
  if (lock.l_len > 0) range.end = range.start + static_cast<uint64_t>(lock.l_len) - 1;
  range.exclusive = lock.l_type == F_WRLCK;
  range.pid = static_cast<uint32_t>(pid);
  return range;
}

FileLocks::Wish wish_of(fuse_req_t req, fuse_ino_t node, const fuse_file_info& info,
                        const struct flock& lock) {
  FileLocks::Wish wish;
  wish.ino = Dispatch::of(req).ids().inode(node);
  wish.handle = info.fh;
  wish.owner = info.lock_owner;
  wish.unlock = lock.l_type == F_UNLCK;
  wish.range = range_of(lock, lock.l_pid);
  return wish;
}

void on_getlk(fuse_req_t req, fuse_ino_t node, fuse_file_info* info, struct flock* lock) {
  Dispatch& d = Dispatch::of(req);
  d.serve<std::optional<fs::RangeLock>>(
      req, "getlk",
      [&](Caller) { return d.filesystem().locks().test(wish_of(req, node, *info, *lock)); },
      [](Request& request, std::optional<fs::RangeLock> other) {
        struct flock found {};
        found.l_type = F_UNLCK;
        if (other) {
          found.l_type = other->exclusive ? F_WRLCK : F_RDLCK;
          found.l_whence = SEEK_SET;
          found.l_start = static_cast<off_t>(other->start);
          const bool endless = other->end >= static_cast<uint64_t>(INT64_MAX);
          found.l_len = endless ? 0 : static_cast<off_t>(other->end - other->start + 1);
          found.l_pid = static_cast<pid_t>(other->pid);
        }
        request.lock(found);
      });
}

void on_setlk(fuse_req_t req, fuse_ino_t node, fuse_file_info* info, struct flock* lock,
              int sleep) {
  Dispatch& d = Dispatch::of(req);
  d.serve(req, "setlk", [&](Caller who) {
    return d.filesystem().set_lock(wish_of(req, node, *info, *lock), sleep != 0, who);
  });
}

void on_flock(fuse_req_t req, fuse_ino_t node, fuse_file_info* info, int operation) {
  Dispatch& d = Dispatch::of(req);
  FileLocks::Wish wish;
  wish.ino = d.ids().inode(node);
  wish.handle = info->fh;
  wish.owner = info->lock_owner;
  wish.whole = true;
  wish.unlock = (operation & LOCK_UN) != 0;
  wish.range.exclusive = (operation & LOCK_EX) != 0;
  d.serve(req, "flock", [&](Caller who) {
    return d.filesystem().set_lock(wish, (operation & LOCK_NB) == 0, who);
  });
}

}  // namespace

void add_lock_operations(fuse_lowlevel_ops& table) {
  table.getlk = on_getlk;
  table.setlk = on_setlk;
  table.flock = on_flock;
}

}  // namespace aster
