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

struct UserChange {
  std::string name;
  std::string quota;  ///< "none" or a size
  std::string role;
  bool enable = false;
  bool disable = false;
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
  Table table({"ID", "NAME", "ROLE", "STATUS", "USED", "QUOTA", "CREATED"});
  for (const json::value& user : users) {
    table.add({field(user, "id"), field(user, "username"), field(user, "role"),
               field(user, "status"), byte_field(user, "storage_used"),
               byte_field(user, "storage_quota"), field(user, "created_at")});
  }
  return Report{std::move(users), table.text(), {}};
}

Result<Report> set_user(Session& session, const UserChange& change) {
  json::object body;
  if (!change.role.empty()) body["role"] = change.role;
  if (change.enable) body["status"] = "active";
  if (change.disable) body["status"] = "disabled";
  if (!change.quota.empty()) {
    body["storage_quota"] = change.quota == "none" ? 0 : std::stoull(change.quota);
  }
  if (body.empty()) {
    return fail(Errc::bad_request,
                "nothing to change: give --quota, --role, --enable or --disable");
  }
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const json::array users, api.list(kUsersPath, "list users"));
  ASTER_TRY(const json::object user, find_item(users, "user", change.name, {"id"}));
  ASTER_TRY(json::value changed,
            api.patch(item_path(kUsersPath, user), body, "change user '" + change.name + "'"));
  return Report{std::move(changed), "user '" + change.name + "' is changed\n", {}};
}

struct UserRemoval {
  std::string name;
  bool with_files = false;
};

Result<std::string> path_of_user(Api& api, const std::string& name) {
  ASTER_TRY(const json::array users, api.list(kUsersPath, "list users"));
  ASTER_TRY(const json::object user, find_item(users, "user", name, {"id"}));
  return item_path(kUsersPath, user);
}

Result<Report> remove_user(Session& session, const UserRemoval& wanted) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(std::string path, path_of_user(api, wanted.name));
  if (wanted.with_files) path += "?force=true";
  ASTER_TRY(json::value removed, api.remove(path, "remove user '" + wanted.name + "'"));
  return Report{std::move(removed), "user '" + wanted.name + "' is gone\n", {}};
}

Result<Report> revoke_sessions(Session& session, const UserRemoval& whose) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const std::string path, path_of_user(api, whose.name));
  ASTER_TRY(json::value revoked,
            api.post(path + "/sessions/revoke", {}, "end the logins of user '" + whose.name + "'"));
  return Report{std::move(revoked), "user '" + whose.name + "' is logged out everywhere\n", {}};
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
  auto change = std::make_shared<UserChange>();
  CLI::App* set = commands.add(group, "set", "Change an account",
                               [change](Session& s) { return set_user(s, *change); });
  set->add_option("NAME", change->name, "Name or id of the account")->required();
  const CLI::AsSizeValue as_size(false);
  set->add_option("--quota", change->quota, "Bytes its files may cover, e.g. 10G; or 'none'")
      ->transform([as_size](std::string text) {
        if (text == "none") return text;
        const std::string problem = as_size(text);
        if (!problem.empty()) throw CLI::ValidationError("--quota", problem);
        return text;
      });
  set->add_option("--role", change->role, "'admin' or 'user'")
      ->check(CLI::IsMember({"admin", "user"}));
  auto* enable = set->add_flag("--enable", change->enable, "Let it log in again");
  set->add_flag("--disable", change->disable, "End its logins")->excludes(enable);
  auto removal = std::make_shared<UserRemoval>();
  const auto add_one = [&](const char* name, const char* what, auto method) {
    CLI::App* command = commands.add(group, name, what,
                                     [removal, method](Session& s) { return method(s, *removal); });
    command->add_option("NAME", removal->name, "Name or id of the account")->required();
    return command;
  };
  add_one("revoke-sessions", "End all logins and tokens of an account", revoke_sessions);
  add_one("remove", "Remove an account", remove_user)
      ->add_flag("--with-files", removal->with_files, "Its files are removed with it");
}

}  // namespace aster::cli
