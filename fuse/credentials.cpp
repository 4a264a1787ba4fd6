#include "fuse/credentials.h"

#include <boost/json/serialize.hpp>
#include <vector>

#include "protocol/base/secret_file.h"
#include "protocol/base_url.h"
#include "protocol/envelope.h"
#include "protocol/json_reader.h"

namespace aster {
namespace {

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
    const Result<std::string> line = read_first_line(file);
    if (line.failed_with(Errc::not_found)) continue;
    if (!line.ok()) return line.error();
    ASTER_TRY(std::string url, normalize_master_url(*line));
    if (server.empty() || server == url) return Login{std::move(url), folder + "/token"};
  }
  if (server.empty()) {
    return fail(Errc::not_found,
                "no drive is configured: name one, or run 'aster login URL' first");
  }
  return fail(Errc::credentials_failed, "no login for " + server + ": run 'aster login " + server +
                                            "', or give a token_file");
}

/// What the options say, else what was said at the login to this server.
Result<ServerTrust> find_trust(const MountOptions& options, const std::string& server,
                               const Environment& environment) {
  ServerTrust given{options.ca_file, options.pin};
  if (!given.empty()) return given;
  for (const std::string& folder : login_folders(environment)) {
    const Result<std::string> line = read_first_line(folder + "/server");
    if (!line.ok()) continue;
    const Result<std::string> url = normalize_master_url(*line);
    if (url.ok() && *url == server) return read_trust(folder);
  }
  return given;
}

Result<Credentials> find_proof(const MountOptions& options, const Environment& environment) {
  Credentials found;
  found.server = options.server;
  if (!options.password_file.empty()) {
    found.user = options.user;
    ASTER_TRY(found.password, read_secret_file(options.password_file));
  } else if (!options.token_file.empty()) {
    ASTER_TRY(found.token, read_secret_file(options.token_file));
  }
  const bool complete = !found.token.empty() || !found.password.empty();
  if (complete && !found.server.empty()) return found;
  ASTER_TRY(const Login login, find_login(options.server, environment));
  found.server = login.server;
  if (!complete) {
    ASTER_TRY(found.token, read_secret_file(login.token_file));
  }
  return found;
}

}  // namespace

Result<Credentials> find_credentials(const MountOptions& options, const Environment& environment) {
  ASTER_TRY(Credentials found, find_proof(options, environment));
  ASTER_TRY(found.trust, find_trust(options, found.server, environment));
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
