#include <boost/json/object.hpp>

#include "protocol/base/secret_file.h"
#include "tools/aster_command.h"
#include "tools/aster_output.h"

/// `aster passwd`: another password for whoever is logged in.
namespace aster::cli {
namespace {

namespace json = boost::json;

struct PasswordOptions {
  std::string current_file;
  std::string new_file;
};

Result<std::string> new_password(Session& session, const std::string& file) {
  ASTER_TRY(std::string first, session.password(file, "New password: "));
  if (!file.empty()) return first;
  ASTER_TRY(const std::string second, session.password(file, "New password again: "));
  if (first != second) return fail(Errc::bad_request, "the two new passwords differ");
  return first;
}

Result<Report> change_password(Session& session, const PasswordOptions& options) {
  if (options.current_file == "-" && options.new_file == "-") {
    return fail(Errc::bad_request, "standard input can be only one of the two passwords");
  }
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const std::filesystem::path file, session.token_file());
  ASTER_TRY(const json::value me, api.get("/api/v1/auth/me", "ask who is logged in"));
  const std::string name = field(me, "username");
  ASTER_TRY(const std::string current,
            session.password(options.current_file, "Current password of " + name + ": "));
  ASTER_TRY(const std::string next, new_password(session, options.new_file));
  auto changed =
      api.put("/api/v1/auth/password", {{"current_password", current}, {"new_password", next}},
              "change the password of '" + name + "'");
  if (!changed) {
    Error error = std::move(changed).error();
    // The token was good a moment ago: a 401 speaks of the password.
    if (error.code == Errc::token_invalid) error.code = Errc::credentials_failed;
    return error;
  }
  Report report;
  report.json = {{"changed", true}, {"user", name}};
  report.text = "the password of '" + name + "' is changed; all its other logins have ended\n";
  Api anew(session.world().http, api.server(), "");
  const auto login =
      anew.post("/api/v1/auth/login", {{"identifier", name}, {"password", next}}, "log in again");
  const json::value* token =
      login && login->is_object() ? login->get_object().if_contains("token") : nullptr;
  if (token == nullptr || !token->is_string()) {
    report.problem =
        "the password is changed, but logging in again failed: aster login --user " + name;
    return report;
  }
  ASTER_TRY(write_private_file(file, std::string(token->get_string()) + "\n"));
  return report;
}

}  // namespace

void add_password_command(Commands& commands) {
  auto options = std::make_shared<PasswordOptions>();
  CLI::App* command =
      commands.add(&commands.app(), "passwd", "Change your password",
                   [options](Session& session) { return change_password(session, *options); });
  command->add_option("--password-file", options->current_file,
                      "File with the current password ('-': standard input); else it is asked for");
  command->add_option("--new-password-file", options->new_file,
                      "File with the new password ('-': standard input); else it is asked for");
}

}  // namespace aster::cli
