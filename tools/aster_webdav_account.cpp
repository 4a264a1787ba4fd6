#include <boost/json/object.hpp>

#include "tools/aster_command.h"
#include "tools/aster_lookup.h"
#include "tools/aster_output.h"

/// `aster webdav-account ...`: names and passwords for WebDAV clients, of whoever is logged in.
namespace aster::cli {
namespace {

namespace json = boost::json;

constexpr std::string_view kAccountsPath = "/api/v1/webdav-accounts";

struct AccountOptions {
  std::string name;
  std::string root;
  std::string workspace;
  std::string password_file;
  bool read_only = false;
};

Result<Report> add_account(Session& session, const AccountOptions& options) {
  const std::string doing = "add WebDAV account '" + options.name + "'";
  ASTER_TRY(Api api, session.api());
  json::object body{{"username", options.name}, {"read_only", options.read_only}};
  if (!options.root.empty()) body["root_path"] = options.root;
  if (!options.workspace.empty()) body["workspace"] = options.workspace;
  if (!options.password_file.empty()) {
    ASTER_TRY(const std::string password, session.password(options.password_file, ""));
    body["password"] = password;
  }
  ASTER_TRY(json::value account, api.post(kAccountsPath, body, doing));
  std::string text = "WebDAV account '" + options.name + "' is added\n";
  if (options.password_file.empty()) {
    text += "password, shown only now: " + field(account, "password") + "\n";
  } else if (account.is_object()) {
    account.get_object().erase("password");  // whoever gave it has it
  }
  return Report{std::move(account), std::move(text), {}};
}

Result<Report> list_accounts(Session& session) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(json::array accounts, api.list(kAccountsPath, "list WebDAV accounts"));
  Table table({"ID", "NAME", "FOLDER", "WORKSPACE", "READ-ONLY", "ACTIVE", "CREATED"});
  for (const json::value& account : accounts) {
    table.add({field(account, "id"), field(account, "username"), field(account, "root_path"),
               field(account, "workspace"), field(account, "read_only"),
               field(account, "is_active"), field(account, "created_at")});
  }
  return Report{std::move(accounts), table.text(), {}};
}

Result<Report> remove_account(Session& session, const AccountOptions& options) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const json::array accounts, api.list(kAccountsPath, "list WebDAV accounts"));
  json::array named;  // look-ups go by `name`
  for (json::value account : accounts) {
    account.as_object()["name"] = field(account, "username");
    named.push_back(std::move(account));
  }
  ASTER_TRY(const json::object account, find_item(named, "WebDAV account", options.name, {"id"}));
  ASTER_TRY(json::value done, api.remove(item_path(kAccountsPath, account),
                                         "remove WebDAV account '" + options.name + "'"));
  return Report{std::move(done), "WebDAV account '" + options.name + "' is removed\n", {}};
}

}  // namespace

void add_webdav_account_commands(Commands& commands) {
  auto options = std::make_shared<AccountOptions>();
  CLI::App* group = commands.group("webdav-account", "Your names and passwords for WebDAV clients");
  CLI::App* add = commands.add(group, "add", "Add a WebDAV account",
                               [options](Session& s) { return add_account(s, *options); });
  add->add_option("NAME", options->name, "Name of the account")->required();
  add->add_option("--root", options->root, "Folder of your drive that it sees; else all of it");
  add->add_option("--workspace", options->workspace, "team:NAME, for the tree of a team of yours");
  add->add_option("--password-file", options->password_file,
                  "File with the password ('-': standard input); else one is made and shown");
  add->add_flag("--read-only", options->read_only, "It may change nothing");
  commands.add(group, "list", "List your WebDAV accounts", list_accounts);
  CLI::App* remove = commands.add(group, "remove", "Remove a WebDAV account",
                                  [options](Session& s) { return remove_account(s, *options); });
  remove->add_option("NAME", options->name, "Name or id of the account")->required();
}

}  // namespace aster::cli
