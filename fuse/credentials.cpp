#include "fuse/credentials.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json/serialize.hpp>
#include <vector>

#include "protocol/base/unique_handle.h"
#include "protocol/base_url.h"
#include "protocol/envelope.h"
#include "protocol/json_reader.h"

namespace aster {
namespace {

constexpr size_t kMostSecret = 4096;

Result<std::string> first_line(int fd, const std::string& path) {
  std::string text(kMostSecret + 1, '\0');
  size_t length = 0;
  while (length < text.size()) {
    const ssize_t n = ::read(fd, text.data() + length, text.size() - length);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("cannot read " + path);
    if (n == 0) break;
    length += static_cast<size_t>(n);
  }
  if (length > kMostSecret) return fail(Errc::too_large, path + " is no file with one line");
  text.resize(length);
  text.resize(std::min(text.find_first_of("\r\n"), text.size()));
  if (text.empty()) return fail(Errc::bad_request, path + " is empty");
  return text;
}

std::vector<std::string> login_folders(const Environment& environment) {
  if (const auto folder = environment("ASTER_CONFIG_DIR")) return {*folder};
  std::vector<std::string> folders;
  if (const auto base = environment("XDG_CONFIG_HOME")) {
    folders.push_back(*base + "/aster");
  } else if (const auto home = environment("HOME")) {
    folders.push_back(*home + "/.config/aster");
  }
  folders.emplace_back("/etc/aster");
  return folders;
}

struct Login {
  std::string server;
  std::string token_file;
};

/// The first login on this machine that is for `server`, or for any when that is empty.
Result<Login> find_login(const std::string& server, const Environment& environment) {
  for (const std::string& folder : login_folders(environment)) {
    const std::string file = folder + "/server";
    const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) continue;
    ASTER_TRY(const std::string line, first_line(fd.get(), file));
    ASTER_TRY(std::string url, normalize_master_url(line));
    if (server.empty() || server == url) return Login{std::move(url), folder + "/token"};
  }
  if (server.empty()) {
    return fail(Errc::not_found,
                "no drive is configured: name one, or run 'aster login URL' first");
  }
  return fail(Errc::credentials_failed, "no login for " + server + ": run 'aster login " + server +
                                            "', or give a token_file");
}

}  // namespace

Result<std::string> read_secret(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno("cannot open " + path);
  struct stat attributes {};
  if (::fstat(fd.get(), &attributes) != 0) return fail_errno("cannot read " + path);
  if (S_ISREG(attributes.st_mode) && (attributes.st_mode & 077) != 0) {
    return fail(Errc::forbidden, path + " can be read by others: chmod 600 it");
  }
  return first_line(fd.get(), path);
}

Result<Credentials> find_credentials(const MountOptions& options, const Environment& environment) {
  Credentials found;
  found.server = options.server;
  if (!options.password_file.empty()) {
    found.user = options.user;
    ASTER_TRY(found.password, read_secret(options.password_file));
  } else if (!options.token_file.empty()) {
    ASTER_TRY(found.token, read_secret(options.token_file));
  }
  const bool complete = !found.token.empty() || !found.password.empty();
  if (complete && !found.server.empty()) return found;
  ASTER_TRY(const Login login, find_login(options.server, environment));
  found.server = login.server;
  if (!complete) {
    ASTER_TRY(found.token, read_secret(login.token_file));
  }
  return found;
}

Task<Result<std::string>> log_in(HttpClient& http, Credentials credentials) {
  HttpClientRequest request;
  request.method = "POST";
  request.url = credentials.server + "/api/v1/auth/login";
  request.headers.emplace_back("Content-Type", "application/json");
  boost::json::object body;
  body["identifier"] = credentials.user;
  body["password"] = credentials.password;
  request.body.push_back(Bytes::from_string(boost::json::serialize(body)));
  ASTER_CO_TRY(const HttpClientResponse response, co_await http.send(std::move(request)));
  const std::string_view answer = as_text(response.body.view());
  if (response.status / 100 != 2) {
    Error error = error_of_answer(response.status, answer, "log in");
    // A 401 here speaks of the password, not of a token.
    if (response.status == 401) error.code = Errc::credentials_failed;
    co_return error;
  }
  ASTER_CO_TRY(const Envelope envelope, decode_envelope(answer));
  ASTER_CO_TRY(const auto data, parse_json_object(envelope.data, kMaxControlAnswer));
  JsonReader reader(data);
  std::string token;
  reader.required("token", token);
  co_return reader.finish(std::move(token));
}

}  // namespace aster
