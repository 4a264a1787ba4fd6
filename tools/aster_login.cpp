#include <boost/json/object.hpp>

#include "protocol/base/secret_file.h"
#include "protocol/base_url.h"
#include "tools/aster_command.h"
#include "tools/aster_output.h"

/// `aster login` and `aster logout`.
namespace aster::cli {
namespace {

namespace json = boost::json;

struct LoginOptions {
  std::string url;
  std::string user;
  std::string password_file;
};

struct Granted {
  std::string token;
  std::string expires;
};

Result<Granted> log_in(Session& session, const std::string& server, const LoginOptions& options) {
  ASTER_TRY(const std::string password,
            session.password(options.password_file, "Password of " + options.user + ": "));
  Api api(session.world().http, server, "");
  auto data = api.post("/api/v1/auth/login", {{"identifier", options.user}, {"password", password}},
                       "log in as '" + options.user + "'");
  if (!data) {
    // A 401 here speaks of the password, not of a token that was once good.
    Error error = std::move(data).error();
    if (error.code == Errc::token_invalid) error.code = Errc::credentials_failed;
    return error;
  }
  const json::value* token = data->is_object() ? data->get_object().if_contains("token") : nullptr;
  if (!token || !token->is_string() || token->get_string().empty()) {
    return fail(Errc::corrupt, server + " answered the login without a token");
  }
  return Granted{token->get_string().c_str(), field(*data, "expires_at")};
}

Result<Report> login(Session& session, const LoginOptions& options) {
  ASTER_TRY(const std::string server,
            options.url.empty() ? session.server() : normalize_master_url(options.url));
  ASTER_TRY(const ServerTrust trust, session.trust(server));
  ASTER_TRY(const Granted granted, log_in(session, server, options));
  std::string file = session.options().token_file;
  if (file.empty()) {
    ASTER_TRY(const LoginStore store, LoginStore::open(session.world().environment));
    ASTER_TRY(store.save(server, granted.token, trust));
    file = store.token_path();
  } else {
    ASTER_TRY(write_private_file(file, granted.token + "\n"));
  }
  Report report;
  report.json = {{"server", server},
                 {"user", options.user},
                 {"token_file", file},
                 {"expires_at", granted.expires}};
  report.text =
      "logged in to " + server + " as " + options.user + "; the token is in " + file + "\n";
  return report;
}

Result<Report> logout(Session& session) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const std::filesystem::path file, session.token_file());
  Report report;
  const auto told = api.post("/api/v1/auth/logout", {}, "log out");
  if (!told && !told.failed_with(Errc::token_invalid)) {
    report.problem =
        "the token was removed here, but the server still accepts it: " + told.error().context;
  }
  std::error_code error;
  std::filesystem::remove(file, error);
  if (error) return fail_errno(error.value(), "remove " + file.string());
  report.text = "logged out of " + api.server() + "\n";
  report.json = {{"logged_out", report.problem.empty()}};
  return report;
}

}  // namespace

void add_login_commands(Commands& commands) {
  auto options = std::make_shared<LoginOptions>();
  CLI::App* login_command =
      commands.add(&commands.app(), "login", "Log in to a primary and keep the token",
                   [options](Session& session) { return login(session, *options); });
  login_command->add_option("URL", options->url, "The primary, e.g. https://drive.example.com");
  login_command->add_option("--user", options->user, "Name of the account")->required();
  login_command->add_option("--password-file", options->password_file,
                            "File with the password ('-': standard input); else it is asked for");
  commands.add(&commands.app(), "logout", "End the login and remove the token", logout);
}

}  // namespace aster::cli
