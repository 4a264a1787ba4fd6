#include "protocol/base/secret_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "protocol/base/unique_handle.h"

namespace aster {
namespace {

using Path = std::filesystem::path;

constexpr size_t kMostLine = 4096;

Result<std::string> read_line(int fd, const std::string& name) {
  std::string text(kMostLine + 1, '\0');
  size_t length = 0;
  while (length < text.size()) {
    const ssize_t n = ::read(fd, text.data() + length, text.size() - length);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read " + name);
    if (n == 0) break;
    length += static_cast<size_t>(n);
  }
  if (length > kMostLine) return fail(Errc::too_large, name + " is no file with one line");
  text.resize(length);
  text.resize(std::min(text.find_first_of("\r\n"), text.size()));
  if (text.empty()) return fail(Errc::bad_request, name + " is empty");
  return text;
}

Result<void> write_all(int fd, std::string_view content, const std::string& name) {
  while (!content.empty()) {
    const ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("write " + name);
    content.remove_prefix(static_cast<size_t>(n));
  }
  if (::fsync(fd) != 0) return fail_errno("fsync " + name);
  return ok();
}

/// Makes the missing folders of `path`, the last one private.
Result<void> make_private_folder(const Path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return ok();
  std::filesystem::create_directories(path.parent_path(), error);
  if (error) return fail_errno(error.value(), "create " + path.parent_path().string());
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail_errno("create " + path.string());
  }
  return ok();
}

}  // namespace

Result<std::string> read_first_line(const Path& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno("open " + path.string());
  return read_line(fd.get(), path.string());
}

Result<std::string> read_secret_file(const Path& path) {
  if (path == "-") return read_line(STDIN_FILENO, "standard input");
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno("open " + path.string());
  struct stat attributes {};
  if (::fstat(fd.get(), &attributes) != 0) return fail_errno("stat " + path.string());
  // A pipe (`<(...)` of a shell) is nobody else's, whatever its mode says.
  if (S_ISREG(attributes.st_mode) && (attributes.st_mode & 077) != 0) {
    return fail(Errc::forbidden, path.string() + " can be read by others: chmod 600 it");
  }
  return read_line(fd.get(), path.string());
}

Result<void> write_private_file(const Path& path, std::string_view content) {
  ASTER_TRY(make_private_folder(std::filesystem::absolute(path).parent_path()));
  const std::string fresh = path.string() + ".new." + std::to_string(::getpid());
  ::unlink(fresh.c_str());
  UniqueFd fd(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return fail_errno("create " + fresh);
  const auto written = write_all(fd.get(), content, fresh);
  if (!written) {
    ::unlink(fresh.c_str());
    return written;
  }
  if (::rename(fresh.c_str(), path.c_str()) != 0) {
    const Error error = fail_errno("rename to " + path.string());
    ::unlink(fresh.c_str());
    return error;
  }
  return ok();
}

}  // namespace aster
