#include "server/storage/local_target.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "protocol/base/guarded.h"
#include "protocol/base/log.h"

namespace aster::storage {

struct LocalTarget::Shared {
  /// The listing that somebody is paging through: without it each page would walk the whole tree.
  struct Listing {
    std::string prefix;
    SteadyTime made;
    std::shared_ptr<const std::vector<std::string>> paths;
  };
  using Tree = std::shared_ptr<const LocalTree>;

  const LocalTarget::Options options;
  Guarded<Tree> current;
  Executor& executor;
  DirectorySync syncs;
  Guarded<Listing> listing;

  Shared(LocalTarget::Options o, LocalTree t, Executor& e)
      : options(std::move(o)),
        current(std::make_shared<const LocalTree>(std::move(t))),
        executor(e),
        syncs(e) {}

  Tree tree() const { return *current.lock(); }
  /// The tree that the path leads to now; unavailable when there is none.
  Result<Tree> tree_in_place();
  /// `look` in the tree; when that finds nothing the tree may be away, or another one be back.
  template <class Look>
  auto find(Look look) -> decltype(look(*tree())) {
    const Tree first = tree();
    auto found = look(*first);
    if (!found.failed_with(Errc::not_found)) return found;
    ASTER_TRY(const Tree now, tree_in_place());
    if (now == first) return found;
    return look(*now);
  }
};

Result<LocalTarget::Shared::Tree> LocalTarget::Shared::tree_in_place() {
  Tree known = tree();
  if (known->is_in_place()) return known;
  Result<LocalTree> opened = LocalTree::open(options.root, options.base, false);
  if (!opened.ok()) {
    return fail(Errc::unavailable, "the storage folder is gone: " + opened.error().context);
  }
  ASTER_LOG(warn, "storage folder was replaced", {"root", options.root}, {"base", options.base});
  auto fresh = std::make_shared<const LocalTree>(std::move(*opened));
  *current.lock() = fresh;
  return Tree(fresh);
}

namespace {

// One step of a copy: short enough that other work gets its turn on the executor.
constexpr size_t kCopyStep = 8 << 20;

Result<void> write_all(int fd, ByteView piece) {
  while (!piece.empty()) {
    const ssize_t n = ::write(fd, piece.data(), piece.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("write of a temporary file");
    piece = piece.subspan(static_cast<size_t>(n));
  }
  return ok();
}

/// Copies by hand where the kernel cannot.
Result<size_t> copy_by_hand(int from, off_t* at, int to, size_t most) {
  std::vector<std::byte> buffer(std::min<size_t>(most, 256 * 1024));
  const ssize_t n = ::pread(from, buffer.data(), buffer.size(), *at);
  if (n < 0) return fail_errno("read of a part");
  ASTER_TRY(write_all(to, ByteView(buffer).first(static_cast<size_t>(n))));
  *at += n;
  return static_cast<size_t>(n);
}

/// Appends up to `most` bytes from `at` on; shares blocks where the file system can.
Result<size_t> copy_step(int from, off_t* at, int to, size_t most) {
  for (;;) {
    const ssize_t n = ::copy_file_range(from, at, to, nullptr, most, 0);
    if (n >= 0) return static_cast<size_t>(n);
    if (errno == EINTR) continue;
    if (errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP && errno != ENOSYS) {
      return fail_errno("copy of a part");
    }
    return copy_by_hand(from, at, to, most);
  }
}

// How long the pages of one listing may take; later pages are cut from a new one.
constexpr std::chrono::seconds kListingLife{60};

using Paths = std::shared_ptr<const std::vector<std::string>>;

/// Pages after the first come from the first one's listing while that is young.
Result<Paths> paths_for_page(LocalTarget::Shared& shared, const std::string& prefix,
                             uint64_t offset) {
  const SteadyTime now = std::chrono::steady_clock::now();
  if (offset > 0) {
    const auto kept = shared.listing.lock();
    if (kept->paths && kept->prefix == prefix && now - kept->made < kListingLife) {
      return kept->paths;
    }
  }
  ASTER_TRY(const LocalTarget::Shared::Tree tree, shared.tree_in_place());
  ASTER_TRY(auto fresh, tree->list(prefix));
  return Paths(std::make_shared<const std::vector<std::string>>(std::move(fresh)));
}

void keep_listing(LocalTarget::Shared& shared, const std::string& prefix, Paths paths) {
  auto kept = shared.listing.lock();
  if (kept->paths == paths) return;
  *kept = {prefix, std::chrono::steady_clock::now(), std::move(paths)};
}

/// A temporary file that removes itself unless it was published.
class StagedFile final : public StagedObject {
 public:
  using Tree = LocalTarget::Shared::Tree;

  StagedFile(std::shared_ptr<LocalTarget::Shared> shared, Tree tree, std::string path,
             TempFile temp)
      : shared_(std::move(shared)),
        tree_(std::move(tree)),
        path_(std::move(path)),
        temp_(std::move(temp)) {}
  ~StagedFile() override {
    if (published_) return;
    // Freeing a large file takes time; the thread that drops it may be one that serves sockets.
    auto fd = std::make_shared<UniqueFd>(std::move(temp_.fd));
    shared_->executor.post([tree = tree_, name = temp_.name, fd]() mutable {
      tree->remove_temp(name);
      fd.reset();
    });
  }

  int fd() const { return temp_.fd.get(); }

  Task<Result<void>> write(ByteView piece) override {
    co_await shared_->executor.hop();
    co_return write_all(fd(), piece);
  }

  Task<Result<void>> commit() override {
    co_await shared_->executor.hop();
    Result<ParentDir> parent = publish();
    if (!parent.ok()) co_return parent.error();
    Result<void> durable = co_await shared_->syncs.sync(parent->dir);
    co_return durable;
  }

 private:
  Result<ParentDir> publish() {
    if (::fdatasync(fd()) != 0) return fail_errno("sync of " + path_);
    if (!tree_->is_in_place()) {
      return fail(Errc::unavailable, "the storage folder went away during the upload");
    }
    ASTER_TRY(ParentDir parent, tree_->parent_of(path_, true));
    ASTER_TRY(tree_->publish(temp_.name, parent));
    published_ = true;
    return parent;
  }

  const std::shared_ptr<LocalTarget::Shared> shared_;
  const Tree tree_;
  const std::string path_;
  TempFile temp_;
  bool published_ = false;
};

}  // namespace

Result<std::shared_ptr<LocalTarget>> LocalTarget::open(const Options& options, Executor& executor) {
  auto tree = LocalTree::open(options.root, options.base, options.create);
  if (!tree.ok() && !options.create) {
    return fail(Errc::unavailable, "the storage folder is gone: " + tree.error().context);
  }
  if (!tree.ok()) return tree.error();
  if (!options.keep_temps) tree->remove_leftovers();
  return std::make_shared<LocalTarget>(
      std::make_shared<Shared>(options, std::move(*tree), executor));
}

Task<Result<std::unique_ptr<StagedObject>>> LocalTarget::stage(std::string path, uint64_t) {
  const auto shared = shared_;
  co_await shared->executor.hop();
  ASTER_CO_TRY(const Shared::Tree tree, shared->tree_in_place());
  ASTER_CO_TRY(TempFile temp, tree->make_temp());
  co_return std::unique_ptr<StagedObject>(
      std::make_unique<StagedFile>(shared, tree, std::move(path), std::move(temp)));
}

Task<Result<OpenObject>> LocalTarget::open(std::string path) {
  const auto shared = shared_;
  // A change of threads costs more than the whole of a small download.
  UniqueFd fd = shared->tree()->open_cached(path);
  if (!fd) {
    co_await shared->executor.hop();
    ASTER_CO_TRY(fd, shared->find([&path](const LocalTree& tree) { return tree.open_file(path); }));
  }
  const off_t size = ::lseek(fd.get(), 0, SEEK_END);
  if (size < 0) co_return fail_errno("size of " + path);
  OpenObject out;
  out.size = static_cast<uint64_t>(size);
  out.fd = std::move(fd);
  co_return out;
}

Task<Result<uint64_t>> LocalTarget::stat(std::string path) {
  const auto shared = shared_;
  co_await shared->executor.hop();
  co_return shared->find([&path](const LocalTree& tree) { return tree.file_size(path); });
}

Task<Result<void>> LocalTarget::remove(std::string path) {
  const auto shared = shared_;
  co_await shared->executor.hop();
  ASTER_CO_TRY(const ParentDir where,
               shared->find([&path](const LocalTree& tree) -> Result<ParentDir> {
                 ASTER_TRY(ParentDir parent, tree.parent_of(path, false));
                 ASTER_TRY(LocalTree::unlink_file(parent));
                 return parent;
               }));
  Result<void> durable = co_await shared->syncs.sync(where.dir);
  co_return durable;
}

Task<Result<ListPage>> LocalTarget::list(std::string prefix, uint64_t offset, uint64_t limit) {
  const auto shared = shared_;
  co_await shared->executor.hop();
  ASTER_CO_TRY(const Paths all, paths_for_page(*shared, prefix, offset));
  ListPage page;
  if (offset < all->size()) {
    const uint64_t end = offset + std::min<uint64_t>(limit, all->size() - offset);
    page.paths.assign(all->begin() + static_cast<ptrdiff_t>(offset),
                      all->begin() + static_cast<ptrdiff_t>(end));
    page.more = end < all->size();
  }
  keep_listing(*shared, prefix, page.more ? all : nullptr);
  co_return page;
}

Task<Result<Capacity>> LocalTarget::capacity() {
  const auto shared = shared_;
  co_await shared->executor.hop();
  struct statvfs info {};
  ASTER_CO_TRY(const Shared::Tree tree, shared->tree_in_place());
  if (::fstatvfs(tree->fd(), &info) != 0) co_return fail_errno("capacity");
  Capacity out;
  out.total = uint64_t{info.f_blocks} * info.f_frsize;
  out.available = uint64_t{info.f_bavail} * info.f_frsize;
  out.used = out.total - uint64_t{info.f_bfree} * info.f_frsize;
  out.source = "local_filesystem";
  co_return out;
}

Task<Result<uint64_t>> LocalTarget::compose(std::string path, std::vector<std::string> parts,
                                            ComposeOptions options) {
  const auto shared = shared_;
  co_await shared->executor.hop();
  ASTER_CO_TRY(const Shared::Tree tree, shared->tree_in_place());
  uint64_t total = 0;
  for (const std::string& part : parts) {
    ASTER_CO_TRY(const uint64_t size, tree->file_size(part));
    total += size;
  }
  if (total != options.expected_size) {
    co_return fail(Errc::corrupt, "the parts are " + std::to_string(total) + " bytes, not " +
                                      std::to_string(options.expected_size));
  }
  if (parts.size() == 1 && !options.keep_parts) {
    ASTER_CO_TRY(co_await move_single(std::move(path), std::move(parts[0])));
    co_return total;
  }
  ASTER_CO_TRY(const uint64_t written, co_await join(std::move(path), parts, total));
  if (!options.keep_parts) {
    // The object is whole and durable: parts that stay are garbage, not a failure.
    const Result<void> removed = co_await remove_all(std::move(parts));
    if (!removed.ok()) ASTER_LOG(warn, "parts left behind", {"err", removed.error()});
  }
  co_return written;
}

Task<Result<uint64_t>> LocalTarget::join(std::string path, std::vector<std::string> parts,
                                         uint64_t total) {
  const auto shared = shared_;
  const Shared::Tree tree = shared->tree();
  ASTER_CO_TRY(TempFile temp, tree->make_temp());
  StagedFile staged(shared, tree, std::move(path), std::move(temp));
  uint64_t written = 0;
  for (const std::string& part : parts) {
    ASTER_CO_TRY(const UniqueFd file, shared->tree()->open_file(part));
    off_t at = 0;
    for (;;) {
      ASTER_CO_TRY(const size_t n, copy_step(file.get(), &at, staged.fd(), kCopyStep));
      if (n == 0) break;
      written += n;
      co_await shared->executor.hop();
    }
  }
  if (written != total) co_return fail(Errc::corrupt, "a part changed its size");
  ASTER_CO_TRY(co_await staged.commit());
  co_return written;
}

Task<Result<uint64_t>> LocalTarget::join_pieces(std::string path, std::vector<ObjectPiece> pieces) {
  const auto shared = shared_;
  co_await shared->executor.hop();
  ASTER_CO_TRY(const Shared::Tree tree, shared->tree_in_place());
  ASTER_CO_TRY(TempFile temp, tree->make_temp());
  StagedFile staged(shared, tree, std::move(path), std::move(temp));
  uint64_t written = 0;
  for (const ObjectPiece& piece : pieces) {
    ASTER_CO_TRY(const UniqueFd file, tree->open_file(piece.path));
    const off_t size = ::lseek(file.get(), 0, SEEK_END);
    if (size < 0) co_return fail_errno("size of " + piece.path);
    ASTER_CO_TRY(check_piece(piece, static_cast<uint64_t>(size)));
    off_t at = static_cast<off_t>(piece.offset);
    for (uint64_t left = piece.length; left > 0;) {
      const size_t most = static_cast<size_t>(std::min<uint64_t>(left, kCopyStep));
      ASTER_CO_TRY(const size_t n, copy_step(file.get(), &at, staged.fd(), most));
      if (n == 0) co_return fail(Errc::corrupt, "a part changed its size");
      left -= n;
      written += n;
      co_await shared->executor.hop();
    }
  }
  ASTER_CO_TRY(co_await staged.commit());
  co_return written;
}

/// One part is the object already: its bytes are durable, only its name changes.
Task<Result<void>> LocalTarget::move_single(std::string path, std::string part) {
  const auto shared = shared_;
  ASTER_CO_TRY(const ParentDir from, shared->tree()->parent_of(part, false));
  ASTER_CO_TRY(const ParentDir to, shared->tree()->parent_of(path, true));
  if (::renameat(from.dir->get(), from.leaf.c_str(), to.dir->get(), to.leaf.c_str()) != 0) {
    co_return fail_errno("commit " + path);
  }
  ASTER_CO_TRY(co_await shared->syncs.sync(to.dir));
  Result<void> durable = co_await shared->syncs.sync(from.dir);
  co_return durable;
}

Task<Result<void>> LocalTarget::remove_all(std::vector<std::string> paths) {
  const auto shared = shared_;
  std::sort(paths.begin(), paths.end());  // one folder after the other: few are synced
  paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
  Result<void> outcome;
  SharedFd last;
  std::string last_folder;
  for (const std::string& path : paths) {
    const std::string folder = path.substr(0, path.rfind('/') + 1);
    Result<ParentDir> where = shared->tree()->parent_of(path, false);
    Result<void> removed =
        where.ok() ? LocalTree::unlink_file(*where) : Result<void>(where.error());
    if (!removed.ok()) outcome = removed;
    if (!where.ok()) continue;
    if (last && folder != last_folder) ASTER_CO_TRY(co_await shared->syncs.sync(last));
    last = where->dir;
    last_folder = folder;
  }
  if (last) ASTER_CO_TRY(co_await shared->syncs.sync(last));
  co_return outcome;
}

}  // namespace aster::storage
