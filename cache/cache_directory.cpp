#include "cache/cache_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "cache/block_format.h"
#include "protocol/base/log.h"

namespace aster {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLock = "lock";
constexpr const char* kFormat = "format";
constexpr const char* kFormatNew = "format.new";
constexpr const char* kSegments = "segments";
constexpr const char* kIndex = "index";
constexpr const char* kCondemned = "index.damaged";

Result<UniqueFd> open_directory(const fs::path& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail_errno("create the cache directory " + path.string());
  }
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno("open the cache directory " + path.string());
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return fail_errno("stat the cache directory");
  if (st.st_uid != ::geteuid()) {
    return fail(Errc::access_denied,
                "cache directory " + path.string() + " belongs to another user");
  }
  return fd;
}

/// A directory that somebody names by mistake must come out of it unharmed.
Result<void> check_content(const fs::path& path) {
  std::error_code error;
  bool marked = false;
  std::string stranger;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    marked |= name == kFormat;
    // Without the mark only what is made before it may be there.
    if (name != kLock && name != kFormatNew && stranger.empty()) stranger = name;
  }
  if (error) return fail_errno(error.value(), "list the cache directory " + path.string());
  if (!marked && !stranger.empty()) {
    return fail(Errc::exists, "directory " + path.string() +
                                  " is neither empty nor a block cache; choose another one");
  }
  return ok();
}

std::string holder_of(int lock) {
  char text[32] = {};
  const ssize_t n = ::pread(lock, text, sizeof text - 1, 0);
  std::string holder;
  for (ssize_t i = 0; i < n && text[i] >= '0' && text[i] <= '9'; ++i) holder += text[i];
  return holder.empty() ? "another process" : "process " + holder;
}

Result<UniqueFd> take_lock(int directory, const fs::path& path) {
  UniqueFd lock(::openat(directory, kLock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock) return fail_errno("open the lock of the cache directory");
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return fail_errno("lock the cache directory");
    return fail(Errc::locked, "cache directory " + path.string() + " is in use by " +
                                  holder_of(lock.get()) + "; every mount needs its own");
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(lock.get(), 0) != 0 || ::pwrite(lock.get(), pid.data(), pid.size(), 0) < 0) {
    ASTER_LOG(debug, "cache_lock_unsigned");  // the lock holds all the same
  }
  return lock;
}

Result<void> make_directory(int parent, const char* name) {
  if (::mkdirat(parent, name, 0700) == 0 || errno == EEXIST) return ok();
  return fail_errno(std::string("create ") + name);
}

}  // namespace

Result<CacheDirectory> CacheDirectory::open(const fs::path& path, const std::string& program,
                                            const Clock& clock) {
  ASTER_TRY(UniqueFd directory, open_directory(path));
  ASTER_TRY(check_content(path));
  if (::fchmod(directory.get(), 0700) != 0) return fail_errno("make the cache directory private");
  ASTER_TRY(UniqueFd lock, take_lock(directory.get(), path));
  CacheDirectory opened(path, std::move(directory), std::move(lock));
  ASTER_TRY(opened.check_format(program, clock));
  if (::faccessat(opened.directory_.get(), kCondemned, F_OK, 0) == 0) {
    ASTER_LOG(warn, "cache_index_restarted", {"reason", "it was found damaged in the last run"});
    std::error_code error;
    fs::remove_all(opened.index_path(), error);
    if (error) return fail_errno(error.value(), "remove the damaged index");
    ::unlinkat(opened.directory_.get(), kCondemned, 0);
  }
  ASTER_TRY(make_directory(opened.directory_.get(), kSegments));
  ASTER_TRY(make_directory(opened.directory_.get(), kIndex));
  return opened;
}

Result<void> CacheDirectory::check_format(const std::string& program, const Clock& clock) {
  const UniqueFd file(::openat(directory_.get(), kFormat, O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file && errno != ENOENT) return fail_errno("open the format file of the cache");
  if (!file) return write_format(program, clock);
  block_format::FileHeaderBytes bytes{};
  const ssize_t n = ::pread(file.get(), bytes.data(), bytes.size(), 0);
  if (n < 0) return fail_errno("read the format file of the cache");
  const auto header = block_format::decode_file_header(
      ByteView(bytes).first(static_cast<size_t>(n)), block_format::FileKind::directory);
  if (header.ok()) return ok();
  // The mark may be cut short by a power cut; whatever it was, a cache can be fetched again.
  ASTER_LOG(warn, "cache_dropped", {"reason", header.error()});
  ASTER_TRY(empty());
  return write_format(program, clock);
}

Result<void> CacheDirectory::write_format(const std::string& program, const Clock& clock) {
  const auto bytes = block_format::encode(
      block_format::FileHeader{block_format::FileKind::directory, 0, clock.now_ns(), program});
  UniqueFd file(::openat(directory_.get(), kFormatNew,
                         O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return fail_errno("create the format file of the cache");
  const ssize_t n = ::pwrite(file.get(), bytes.data(), bytes.size(), 0);
  if (n < 0) return fail_errno("write the format file of the cache");
  if (static_cast<size_t>(n) != bytes.size()) return fail(Errc::no_space, "write the format file");
  if (::renameat(directory_.get(), kFormatNew, directory_.get(), kFormat) != 0) {
    return fail_errno("name the format file of the cache");
  }
  return ok();
}

Result<void> CacheDirectory::empty() {
  std::error_code error;
  for (const char* name : {kSegments, kIndex, kCondemned}) {
    fs::remove_all(path_ / name, error);
    if (error) return fail_errno(error.value(), "empty the cache directory");
  }
  return ok();
}

Result<UniqueFd> CacheDirectory::open_segments() const {
  UniqueFd fd(
      ::openat(directory_.get(), kSegments, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return fail_errno("open the directory of segments");
  return fd;
}

void CacheDirectory::condemn_index() const {
  // A failure here costs some misses in the next run, nothing else.
  const UniqueFd mark(
      ::openat(directory_.get(), kCondemned, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
}

}  // namespace aster
