#include "server/db/database.h"

namespace aster::db {
namespace {

/// The value of `mode` in "a=b&mode=rwc"; rwc when it is not given.
std::string_view mode_of(std::string_view query) {
  while (!query.empty()) {
    const size_t end = query.find('&');
    const std::string_view pair = query.substr(0, end);
    if (pair.starts_with("mode=")) return pair.substr(5);
    if (end == std::string_view::npos) break;
    query.remove_prefix(end + 1);
  }
  return "rwc";
}

}  // namespace

Result<DatabasePath> parse_database_url(std::string_view url) {
  constexpr std::string_view kScheme = "sqlite://";
  if (url.starts_with("postgres://") || url.starts_with("postgresql://") ||
      url.starts_with("mysql://")) {
    return fail(Errc::unsupported, "database.url: this program only opens sqlite:// databases");
  }
  if (!url.starts_with(kScheme)) {
    return fail(Errc::bad_request, "database.url: expected sqlite:///path/to/file");
  }
  url.remove_prefix(kScheme.size());
  const size_t question = url.find('?');
  const std::string_view path = url.substr(0, question);
  const std::string_view mode =
      question == std::string_view::npos ? "rwc" : mode_of(url.substr(question + 1));
  if (path.empty() || path == ":memory:" || path.ends_with('/')) {
    return fail(Errc::bad_request, "database.url: names no file");
  }
  if (path.find('\0') != std::string_view::npos) {
    return fail(Errc::bad_request, "database.url: the path holds a NUL");
  }
  if (mode != "rwc" && mode != "rw") {
    return fail(Errc::bad_request, "database.url: mode must be rwc or rw");
  }
  // SQLite takes a name that starts with "file:" for a URI of its own.
  std::string name = path.starts_with('/') ? std::string(path) : "./" + std::string(path);
  return DatabasePath{std::move(name), mode == "rwc"};
}

}  // namespace aster::db
