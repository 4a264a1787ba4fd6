#include "server/storage/local_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "protocol/base/fault_point.h"
#include "protocol/base/ids.h"
#include "protocol/base/text.h"

namespace aster::storage {
namespace {

// Beside the namespaces, so on the same file system: a commit is always a rename.
constexpr char kTempFolder[] = ".aster-tmp";
constexpr std::string_view kTempPrefix = "put-";
constexpr mode_t kFolderMode = 0750;
constexpr mode_t kFileMode = 0640;

using Directory = CHandle<DIR, ::closedir>;

/// EAGAIN: the kernel could not prove that a racing rename stayed beneath; its page says try again.
UniqueFd open_beneath(int dir, const char* path, int flags, mode_t mode = 0, uint64_t resolve = 0) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.mode = mode;
  how.resolve = resolve | RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  const int tries_at_most = resolve & RESOLVE_CACHED ? 1 : 16;  // its EAGAIN means "not cached"
  long fd = -1;
  for (int tries = 0; tries < tries_at_most; ++tries) {
    fd = ::syscall(SYS_openat2, dir, path, &how, sizeof how);
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) break;
  }
  return UniqueFd(static_cast<int>(fd));
}

/// Paths appear in error texts only as far as people need them; keys are no secrets.
Error failed(const char* doing, const std::string& path) {
  return fail_errno(std::string(doing) + " " + path);
}

Result<UniqueFd> open_or_make_folder(int parent, const std::string& name) {
  UniqueFd folder = open_beneath(parent, name.c_str(), O_RDONLY | O_DIRECTORY);
  if (folder || errno != ENOENT) {
    if (!folder) return failed("open folder", name);
    return folder;
  }
  if (::mkdirat(parent, name.c_str(), kFolderMode) != 0 && errno != EEXIST) {
    return failed("create folder", name);
  }
  if (::fsync(parent) != 0) return failed("sync the parent of", name);
  folder = open_beneath(parent, name.c_str(), O_RDONLY | O_DIRECTORY);
  if (!folder) return failed("open folder", name);
  return folder;
}

Result<UniqueFd> open_root(const std::string& root, bool create) {
  std::error_code error;
  if (create) std::filesystem::create_directories(root, error);
  UniqueFd fd(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return failed("open storage root", root);
  return fd;
}

/// nullopt for what is neither a folder nor a regular file.
std::optional<bool> is_folder(int dir, const dirent& entry) {
  if (entry.d_type == DT_DIR) return true;
  if (entry.d_type == DT_REG) return false;
  if (entry.d_type != DT_UNKNOWN) return std::nullopt;
  struct stat info {};
  if (::fstatat(dir, entry.d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) return std::nullopt;
  if (S_ISDIR(info.st_mode)) return true;
  if (S_ISREG(info.st_mode)) return false;
  return std::nullopt;
}

/// Adds the files right in `path` to `files` and its folders to `folders`.
Result<void> scan(int base, const std::string& path, std::vector<std::string>& files,
                  std::vector<std::string>& folders) {
  UniqueFd fd = open_beneath(base, path.c_str(), O_RDONLY | O_DIRECTORY);
  if (!fd && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) return ok();
  if (!fd) return failed("list", path);
  const Directory dir(::fdopendir(fd.get()));
  if (!dir) return failed("list", path);
  const int number = fd.release();  // the Directory closes it
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(dir.get());
    if (!entry) break;
    const std::string_view name = entry->d_name;
    // A name that is no UTF-8 cannot be a key: somebody else put it there.
    if (name == "." || name == ".." || !is_utf8(name)) continue;
    const auto folder = is_folder(number, *entry);
    if (!folder) continue;
    (*folder ? folders : files).push_back(path + "/" + std::string(name));
  }
  if (errno != 0) return failed("list", path);
  return ok();
}

}  // namespace

Result<LocalTree> LocalTree::open(const std::string& root, const std::string& base, bool create) {
  ASTER_TRY(UniqueFd root_fd, open_root(root, create));
  UniqueFd base_fd;
  UniqueFd temp_fd;
  if (create) {
    const LocalTree whole(root, ".", std::make_shared<const UniqueFd>(std::move(root_fd)), nullptr);
    ASTER_TRY(base_fd, whole.make_folders(base));
    ASTER_TRY(temp_fd, open_or_make_folder(base_fd.get(), kTempFolder));
  } else {
    base_fd = open_beneath(root_fd.get(), base.c_str(), O_RDONLY | O_DIRECTORY);
    if (!base_fd) return failed("open storage folder", root + "/" + base);
    // Made together with the tree: an empty mount point does not have it.
    temp_fd = open_beneath(base_fd.get(), kTempFolder, O_RDONLY | O_DIRECTORY);
    if (!temp_fd) return failed("open temporary files of", root + "/" + base);
  }
  return LocalTree(root, base, std::make_shared<const UniqueFd>(std::move(base_fd)),
                   std::make_shared<const UniqueFd>(std::move(temp_fd)));
}

bool LocalTree::is_in_place() const {
  const UniqueFd root(::open(root_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  const UniqueFd now =
      root ? open_beneath(root.get(), path_.c_str(), O_PATH | O_DIRECTORY) : UniqueFd();
  struct stat there {};
  struct stat here {};
  return now && ::fstat(now.get(), &there) == 0 && ::fstat(base_->get(), &here) == 0 &&
         there.st_dev == here.st_dev && there.st_ino == here.st_ino;
}

Result<UniqueFd> LocalTree::make_folders(const std::string& path) const {
  ASTER_TRY(UniqueFd at, open_or_make_folder(base_->get(), "."));
  for (size_t begin = 0; begin < path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    ASTER_TRY(at, open_or_make_folder(at.get(), path.substr(begin, end - begin)));
    begin = end + 1;
  }
  return at;
}

Result<UniqueFd> LocalTree::open_file(const std::string& path) const {
  // O_NONBLOCK: opening a fifo must not wait for its writer.
  UniqueFd fd = open_beneath(base_->get(), path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!fd && (errno == ENOTDIR || errno == ELOOP || errno == ENXIO)) errno = ENOENT;
  if (!fd) return failed("open", path);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return failed("stat", path);
  if (!S_ISREG(info.st_mode)) return fail(Errc::not_found, path + " is no file");
  return fd;
}

UniqueFd LocalTree::open_cached(const std::string& path) const noexcept {
  UniqueFd fd =
      open_beneath(base_->get(), path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, RESOLVE_CACHED);
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) return {};
  return fd;
}

Result<uint64_t> LocalTree::file_size(const std::string& path) const {
  UniqueFd fd = open_beneath(base_->get(), path.c_str(), O_PATH);
  if (!fd && (errno == ENOTDIR || errno == ELOOP)) errno = ENOENT;
  if (!fd) return failed("stat", path);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return failed("stat", path);
  if (!S_ISREG(info.st_mode)) return fail(Errc::not_found, path + " is no file");
  return static_cast<uint64_t>(info.st_size);
}

Result<ParentDir> LocalTree::parent_of(const std::string& path, bool create) const {
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash);
  const std::string leaf = path.substr(slash == std::string::npos ? 0 : slash + 1);
  UniqueFd fd = open_beneath(base_->get(), folder.c_str(), O_RDONLY | O_DIRECTORY);
  if (!fd && errno == ENOENT && create) {
    ASTER_TRY(fd, make_folders(folder));
  }
  if (!fd && !create && (errno == ENOTDIR || errno == ELOOP)) errno = ENOENT;
  if (!fd) return failed("open folder of", path);
  return ParentDir{std::make_shared<const UniqueFd>(std::move(fd)), leaf};
}

Result<void> LocalTree::unlink_file(const ParentDir& where) {
  struct stat info {};
  if (::fstatat(where.dir->get(), where.leaf.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    return failed("remove", where.leaf);
  }
  if (!S_ISREG(info.st_mode)) return fail(Errc::not_found, where.leaf + " is no file");
  if (::unlinkat(where.dir->get(), where.leaf.c_str(), 0) != 0) return failed("remove", where.leaf);
  return ok();
}

void LocalTree::remove_leftovers() const noexcept {
  const Directory dir(::fdopendir(::openat(temp_->get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
  while (const dirent* entry = dir ? ::readdir(dir.get()) : nullptr) {
    if (std::string_view(entry->d_name).starts_with(kTempPrefix)) remove_temp(entry->d_name);
  }
}

Result<TempFile> LocalTree::make_temp() const {
  TempFile out;
  out.name = std::string(kTempPrefix) + random_hex(16);
  out.fd = open_beneath(temp_->get(), out.name.c_str(), O_RDWR | O_CREAT | O_EXCL, kFileMode);
  if (!out.fd) return failed("create temporary file", out.name);
  return out;
}

void LocalTree::remove_temp(const std::string& name) const noexcept {
  ::unlinkat(temp_->get(), name.c_str(), 0);
}

Result<void> LocalTree::publish(const std::string& temp_name, const ParentDir& where) const {
  ASTER_FAULT_POINT("object.before_rename");
  if (::renameat(temp_->get(), temp_name.c_str(), where.dir->get(), where.leaf.c_str()) != 0) {
    return failed("commit", where.leaf);
  }
  ASTER_FAULT_POINT("object.after_rename");
  return ok();
}

Result<std::vector<std::string>> LocalTree::list(const std::string& prefix) const {
  std::vector<std::string> files;
  std::vector<std::string> folders{prefix};
  while (!folders.empty()) {
    const std::string next = std::move(folders.back());
    folders.pop_back();
    ASTER_TRY(scan(base_->get(), next, files, folders));
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace aster::storage
