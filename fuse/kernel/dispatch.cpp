#include "fuse/kernel/dispatch.h"

#include "protocol/base/log.h"

namespace aster {
namespace {

/// One line per kind of failure in this time; the rest are counted.
constexpr std::chrono::seconds kQuiet{5};

/// Worth a line: a server or this machine is in trouble. The rest is what programs ask for.
bool is_trouble(Errc code) {
  return code == Errc::unavailable || code == Errc::timeout || code == Errc::io_error ||
         code == Errc::out_of_resources;
}

/// What the kernel and this side agree on. `connection` is kept in capability bits of libfuse.
void on_init(void*, fuse_conn_info* connection) {
  // Not FUSE_CAP_WRITEBACK_CACHE: with it the kernel believes its own size and times of a regular
  // file for as long as it caches the inode, whatever we answer (fuse_change_attributes), so
  // changes by others would never be seen. Without it each write(2) reaches us at once, up to
  // 1 MiB per request, and FileContent is the write-back cache.
  //
  // Not FUSE_CAP_AUTO_INVAL_DATA: the kernel would drop its pages after each own write, because
  // mtime changes. We drop them ourselves when somebody else has written (EXPLICIT_INVAL_DATA).
  //
  // Not FUSE_CAP_HANDLE_KILLPRIV: the kernel clears set-user-id and set-group-id bits itself, by
  // setattr.
  //
  // Not FUSE_CAP_SPLICE_*: replies come from memory that is shared with caches.
  //
  // FUSE_CAP_POSIX_ACL: the kernel asks for the lists and checks them, the primary keeps them in
  // step with the mode. With FUSE_CAP_DONT_MASK, because a default list replaces the umask.
  constexpr unsigned kWanted =
      FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO | FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_EXPORT_SUPPORT |
      FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_PARALLEL_DIROPS |
      FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_EXPLICIT_INVAL_DATA | FUSE_CAP_POSIX_ACL |
      FUSE_CAP_DONT_MASK | FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS;
  connection->want = connection->capable & kWanted;
  connection->max_write = 1 << 20;      // libfuse 3.14 has buffers of 256 pages
  connection->max_readahead = 1 << 20;  // the kernel offers 128 KiB; Session raises it afterwards
  connection->max_background = 64;
  connection->congestion_threshold = 48;
  connection->time_gran = 1;
}

}  // namespace

fuse_lowlevel_ops Dispatch::operations() {
  fuse_lowlevel_ops table{};
  table.init = on_init;
  add_meta_operations(table);
  add_dir_operations(table);
  add_file_operations(table);
  add_xattr_operations(table);
  add_lock_operations(table);
  add_self_operations(table);
  add_kept_operations(table);
  return table;
}

Dispatch::Guard Dispatch::enter(Request& request) {
  std::optional<Lifeline::Guard> guard = under_way_->enter();
  if (guard) return std::make_shared<Lifeline::Guard>(std::move(*guard));
  request.error(ENOTCONN);
  return nullptr;
}

void Dispatch::fail(Request& request, const Error& error) {
  report(request.operation(), error);
  request.error(to_errno(error.code));
}

void Dispatch::report(const char* operation, const Error& error) noexcept {
  try {
    const bool lost = error.code == Errc::internal || error.code == Errc::corrupt;
    if (!lost && !is_trouble(error.code)) {
      ASTER_LOG(debug, "operation_failed", {"op", operation}, {"err", error});
      return;
    }
    uint64_t repeated = 0;
    {
      auto repeats = repeats_.lock();
      Repeats& same = (*repeats)[error.code];
      const SteadyTime now = std::chrono::steady_clock::now();
      if (now < same.quiet_until) {
        ++same.count;
        return;
      }
      repeated = std::exchange(same.count, 0);
      same.quiet_until = now + kQuiet;
    }
    log::write(lost ? log::Level::error : log::Level::warn, "operation_failed",
               {{"op", operation}, {"repeated", repeated}, {"err", error}});
  } catch (...) {
    // A line of the log is worth less than the answer that comes after it.
  }
}

}  // namespace aster
