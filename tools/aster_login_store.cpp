#include "tools/aster_login_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "protocol/base/unique_handle.h"

namespace aster::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostSecret = 4096;

Result<std::string> read_line(int fd, const std::string& name) {
  std::string text(kMostSecret + 1, '\0');
  size_t length = 0;
  while (length < text.size()) {
    const ssize_t n = ::read(fd, text.data() + length, text.size() - length);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read " + name);
    if (n == 0) break;
    length += static_cast<size_t>(n);
  }
  if (length > kMostSecret) return fail(Errc::too_large, name + " is no file with one secret");
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
Result<void> make_private_folder(const fs::path& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) return ok();
  fs::create_directories(path.parent_path(), error);
  if (error) return fail_errno(error.value(), "create " + path.parent_path().string());
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail_errno("create " + path.string());
  }
  return ok();
}

}  // namespace

Result<std::string> read_secret_file(const fs::path& path) {
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

Result<void> write_private_file(const fs::path& path, std::string_view content) {
  ASTER_TRY(make_private_folder(fs::absolute(path).parent_path()));
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

Result<LoginStore> LoginStore::open(const Environment& environment) {
  if (const auto folder = environment("ASTER_CONFIG_DIR")) return LoginStore(*folder);
  if (const auto base = environment("XDG_CONFIG_HOME"))
    return LoginStore(fs::path(*base) / "aster");
  if (const auto home = environment("HOME")) return LoginStore(fs::path(*home) / ".config/aster");
  return fail(Errc::precondition_failed, "neither HOME nor ASTER_CONFIG_DIR is set");
}

Result<std::string> LoginStore::server() const {
  const UniqueFd fd(::open(server_path().c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno("open " + server_path().string());
  return read_line(fd.get(), server_path().string());
}

Result<void> LoginStore::save(std::string_view server, std::string_view token) const {
  ASTER_TRY(write_private_file(token_path(), std::string(token) + "\n"));
  return write_private_file(server_path(), std::string(server) + "\n");
}

}  // namespace aster::cli
