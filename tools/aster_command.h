#pragma once

#include <CLI/CLI.hpp>
#include <boost/json/value.hpp>
#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include "protocol/client/server_trust.h"
#include "tools/aster_api.h"
#include "tools/aster_login_store.h"

namespace aster::cli {

/// What the command line needs of the outside; tests put fakes here.
struct World {
  HttpClient& http;
  std::ostream& out;
  std::ostream& err;
  Environment environment;
  /// Shows `prompt` on the terminal and reads one line without echo.
  std::function<Result<std::string>(const std::string& prompt)> ask_secret;
  std::filesystem::path mount_table;  ///< /proc/self/mounts
  /// From now on `http` takes only what these options trust for the primary. May be null.
  std::function<void(CurlHttpClientOptions)> trust = {};
  /// `err` when it is a terminal: where progress is shown. Else null.
  std::ostream* terminal = nullptr;
};

/// What a command found or did.
struct Report {
  boost::json::value json;  ///< printed with --json
  std::string text;         ///< printed without it; lines end with '\n'
  std::string problem;      ///< not empty: printed to standard error, exit status 1
};

/// Where to talk to and as whom: options, then environment, then the stored login.
class Session {
 public:
  struct Options {
    bool json = false;
    std::string server;      ///< --server; empty = $ASTER_URL, else as logged in
    std::string token_file;  ///< --token-file; empty = $ASTER_ADMIN_TOKEN_FILE, else as logged in
    std::string ca_file;     ///< --ca-file; empty = as logged in
    std::string pin;         ///< --pin; empty = as logged in
  };
  Session(World& world, Options options) : world_(world), options_(std::move(options)) {}

  World& world() { return world_; }
  const Options& options() const { return options_; }

  /// precondition_failed, with the way out, when nothing says which server.
  Result<std::string> server() const;
  /// Where the token is, or would be.
  Result<std::filesystem::path> token_file() const;
  /// Whom to take for `server` from now on: what the options say, else the login to it.
  Result<ServerTrust> trust(const std::string& server) const;
  /// The API with the caller's token. precondition_failed when nobody has logged in.
  Result<Api> api() const;
  /// From a file, or asked for on the terminal when `file` is empty.
  Result<std::string> password(const std::string& file, const std::string& prompt) const;

 private:
  World& world_;
  const Options options_;
};

/// The commands of the program: each is a CLI11 subcommand and what to do when it was chosen.
class Commands {
 public:
  using Action = std::function<Result<Report>(Session&)>;

  explicit Commands(CLI::App& app) : app_(app) {}

  CLI::App& app() { return app_; }
  /// A group of commands that does nothing by itself, e.g. `node`.
  CLI::App* group(const std::string& name, const std::string& description);
  /// A command below `parent`. The returned App gets its own options; --json, --server and
  /// --token-file are there already.
  CLI::App* add(CLI::App* parent, const std::string& name, const std::string& description,
                Action action);

  const Session::Options& options() const { return options_; }
  /// Empty until parsing chose a command.
  const Action& chosen() const { return chosen_; }

 private:
  CLI::App& app_;
  Session::Options options_;
  Action chosen_;
};

void add_login_commands(Commands& commands);
void add_node_commands(Commands& commands);
void add_target_commands(Commands& commands);
void add_policy_commands(Commands& commands);
void add_migrate_commands(Commands& commands, CLI::App* policy_group);
void add_group_commands(Commands& commands);
void add_user_commands(Commands& commands);
void add_webdav_account_commands(Commands& commands);
void add_team_commands(Commands& commands);
void add_token_commands(Commands& commands);
void add_password_command(Commands& commands);
void add_audit_commands(Commands& commands);
void add_status_command(Commands& commands);
void add_sync_command(Commands& commands);
void add_trash_commands(Commands& commands);
void add_quota_commands(Commands& commands);
void add_version_commands(Commands& commands);
void add_verify_command(Commands& commands);

/// The whole program. Exit status: 0 done, 1 it failed, 2 wrong usage.
int run(World& world, const std::vector<std::string>& arguments);

}  // namespace aster::cli
