#include <boost/json/object.hpp>

#include "tools/aster_command.h"
#include "tools/aster_lookup.h"
#include "tools/aster_output.h"

/// `aster user ...`: the accounts of the drive.
namespace aster::cli {
namespace {

namespace json = boost::json;

struct UserOptions {
  std::string name;
  std::string password_file;
  bool is_admin = false;
};

Result<Report> add_user(Session& session, const UserOptions& options) {
  const std::string doing = "add user '" + options.name + "'";
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const std::string password,
            session.password(options.password_file, "Password for " + options.name + ": "));
  json::object body{{"username", options.name}, {"password", password}};
  if (options.is_admin) body["role"] = "admin";
  ASTER_TRY(json::value user, api.post(kUsersPath, body, doing));
  return Report{std::move(user), "user '" + options.name + "' is added\n", {}};
}

Result<Report> list_users(Session& session) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(json::array users, api.list(kUsersPath, "list users"));
  Table table({"ID", "NAME", "ROLE", "STATUS", "CREATED"});
  for (const json::value& user : users) {
    table.add({field(user, "id"), field(user, "username"), field(user, "role"),
               field(user, "status"), field(user, "created_at")});
  }
  return Report{std::move(users), table.text(), {}};
}

}  // namespace

void add_user_commands(Commands& commands) {
  auto options = std::make_shared<UserOptions>();
  CLI::App* group = commands.group("user", "Accounts");
  CLI::App* add = commands.add(group, "add", "Add an account",
                               [options](Session& s) { return add_user(s, *options); });
  add->add_option("NAME", options->name, "Name of the account")->required();
  add->add_option("--password-file", options->password_file,
                  "File with the password ('-': standard input); else it is asked for");
  add->add_flag("--admin", options->is_admin, "Make it an administrator");
  commands.add(group, "list", "List the accounts", list_users);
}

}  // namespace aster::cli
