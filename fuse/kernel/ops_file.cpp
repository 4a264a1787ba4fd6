#include <unistd.h>

#include "fuse/kernel/convert.h"
#include "fuse/kernel/dispatch.h"
#include "fuse/kernel/receive_buffer.h"

namespace aster {
namespace {

void set_opened(fuse_file_info& info, const Opened& opened) {
  info.fh = opened.handle;
  info.keep_cache = opened.keep_cache;
  info.noflush = opened.no_flush;
}

void on_open(fuse_req_t req, fuse_ino_t node, fuse_file_info* info) {
  Dispatch& d = Dispatch::of(req);
  d.serve<Opened>(
      req, "open",
      [&](Caller who) { return d.filesystem().open(d.ids().inode(node), info->flags, who); },
      [&d, info = *info](Request& request, Opened opened) mutable {
        set_opened(info, opened);
        if (!request.open(info)) d.filesystem().release(opened.handle);
      });
}

void on_create(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode,
               fuse_file_info* info) {
  Dispatch& d = Dispatch::of(req);
  d.serve<Created>(
      req, "create",
      [&](Caller who) {
        return d.filesystem().create(
            {d.ids().inode(parent), name, mode & 07777u, info->flags, fuse_req_ctx(req)->umask},
            who);
      },
      [&d, info = *info](Request& request, Created created) mutable {
        set_opened(info, created.opened);
        if (request.create(to_entry(d.ids(), d.current(created.entry)), info)) return;
        d.filesystem().release(created.opened.handle);
        d.filesystem().forget(created.entry.attr.ino, 1);
      });
}

void on_read(fuse_req_t req, fuse_ino_t, size_t size, off_t offset, fuse_file_info* info) {
  Dispatch& d = Dispatch::of(req);
  d.serve<std::vector<Bytes>>(
      req, "read",
      [&](Caller who) {
        return d.filesystem().read(info->fh, static_cast<uint64_t>(offset), size, who);
      },
      [](Request& request, std::vector<Bytes> pieces) { request.pieces(pieces); });
}

void on_write(fuse_req_t req, fuse_ino_t, const char* data, size_t size, off_t offset,
              fuse_file_info* info) {
  Dispatch& d = Dispatch::of(req);
  d.serve<size_t>(
      req, "write",
      [&](Caller who) {
        return d.filesystem().write(
            info->fh, ReceiveBuffers::keep(data, size),
            {static_cast<uint64_t>(offset), info->flags, info->writepage != 0}, who);
      },
      [](Request& request, size_t written) { request.written(written); });
}

void on_flush(fuse_req_t req, fuse_ino_t, fuse_file_info* info) {
  Dispatch& d = Dispatch::of(req);
  const bool ending = d.filesystem().hard() && is_ending(fuse_req_ctx(req)->pid);
  const uint64_t owner = info->lock_owner;
  d.serve(req, "flush", [&](Caller who) {
    who.ending = ending;
    return d.filesystem().flush(info->fh, who, owner);
  });
}

void on_release(fuse_req_t req, fuse_ino_t, fuse_file_info* info) {
  Dispatch::of(req).filesystem().release(info->fh);
  fuse_reply_err(req, 0);
}

void on_fsync(fuse_req_t req, fuse_ino_t, int, fuse_file_info* info) {
  Dispatch& d = Dispatch::of(req);
  d.serve(req, "fsync", [&](Caller who) { return d.filesystem().fsync(info->fh, who); });
}

void on_fallocate(fuse_req_t req, fuse_ino_t, int mode, off_t offset, off_t length,
                  fuse_file_info* info) {
  Dispatch& d = Dispatch::of(req);
  d.serve(req, "fallocate", [&](Caller who) {
    return d.filesystem().fallocate(
        info->fh, mode, {static_cast<uint64_t>(offset), static_cast<uint64_t>(length)}, who);
  });
}

/// seek() speaks of the end of the file as no_attribute; lseek(2) wants ENXIO.
Task<Result<off_t>> seek(Filesystem& filesystem, HandleId handle, off_t offset, bool hole,
                         Caller who) {
  const Result<uint64_t> found =
      co_await filesystem.seek(handle, static_cast<uint64_t>(offset), hole, who);
  if (found.ok()) co_return static_cast<off_t>(*found);
  if (found.failed_with(Errc::no_attribute)) co_return off_t{-1};
  co_return found.error();
}

void on_lseek(fuse_req_t req, fuse_ino_t, off_t offset, int whence, fuse_file_info* info) {
  if (whence != SEEK_DATA && whence != SEEK_HOLE) {
    fuse_reply_err(req, EINVAL);
    return;
  }
  Dispatch& d = Dispatch::of(req);
  d.serve<off_t>(
      req, "lseek",
      [&](Caller who) { return seek(d.filesystem(), info->fh, offset, whence == SEEK_HOLE, who); },
      [](Request& request, off_t found) {
        if (found < 0) {
          request.error(ENXIO);
        } else {
          request.offset(found);
        }
      });
}

void on_copy_file_range(fuse_req_t req, fuse_ino_t, off_t offset_in, fuse_file_info* info_in,
                        fuse_ino_t, off_t offset_out, fuse_file_info* info_out, size_t length,
                        int) {
  Dispatch& d = Dispatch::of(req);
  d.serve<uint64_t>(
      req, "copy_file_range",
      [&](Caller who) {
        return d.filesystem().copy_range(info_in->fh, static_cast<uint64_t>(offset_in),
                                         info_out->fh, {static_cast<uint64_t>(offset_out), length},
                                         who);
      },
      [](Request& request, uint64_t copied) { request.written(copied); });
}

}  // namespace

void add_file_operations(fuse_lowlevel_ops& table) {
  table.open = on_open;
  table.create = on_create;
  table.read = on_read;
  table.write = on_write;
  table.flush = on_flush;
  table.release = on_release;
  table.fsync = on_fsync;
  table.fallocate = on_fallocate;
  table.lseek = on_lseek;
  table.copy_file_range = on_copy_file_range;
}

}  // namespace aster
