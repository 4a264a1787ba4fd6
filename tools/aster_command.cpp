#include "tools/aster_command.h"

#include <boost/json/serialize.hpp>
#include <ostream>

#include "protocol/base/secret_file.h"
#include "protocol/base_url.h"

namespace aster::cli {
namespace {

constexpr int kFailure = 1;
constexpr int kUsage = 2;

/// What a person can do about a failure; empty when the message says it all.
std::string way_out(const Error& error, const std::string& server) {
  if (error.code == Errc::token_invalid) {
    return "the login is missing, expired or revoked: aster login " + server + " --user NAME";
  }
  if (error.code == Errc::forbidden && error.context.find("administrator") != std::string::npos) {
    return "only an administrator may do this";
  }
  if (error.code == Errc::unavailable || error.code == Errc::timeout) {
    return "is the server running, and is the URL right? (--server, ASTER_URL)";
  }
  return {};
}

void complain(World& world, const std::string& text) {
  world.err << "aster: " << text << '\n';
}

int fail_with(World& world, const Session& session, const Error& error) {
  complain(world, error.context.empty() ? error.message() : error.context);
  const auto server = session.server();
  const std::string advice = way_out(error, server ? *server : "URL");
  // A file that others can read is a refusal of our own, with its own advice.
  if (!advice.empty() && error.context.find("chmod") == std::string::npos) {
    complain(world, advice);
  }
  return kFailure;
}

int finish(World& world, const Session& session, const Result<Report>& report) {
  if (!report) return fail_with(world, session, report.error());
  if (session.options().json) {
    world.out << boost::json::serialize(report->json) << '\n';
  } else {
    world.out << report->text;
  }
  world.out.flush();
  if (!world.out) {
    complain(world, "cannot write to standard output");
    return kFailure;
  }
  if (report->problem.empty()) return 0;
  complain(world, report->problem);
  return kFailure;
}

int refuse_usage(World& world, const CLI::App& app, const CLI::ParseError& error) {
  std::string command = "aster";
  for (const CLI::App* chosen = &app; !chosen->get_subcommands().empty();) {
    chosen = chosen->get_subcommands().front();
    command += " " + chosen->get_name();
  }
  // CLI11 complains about the command that is missing before the word that is none.
  const std::vector<std::string> strange = app.remaining(true);
  const std::string what =
      strange.empty() ? error.what() : "what is '" + strange.front() + "' in this place?";
  complain(world, what + " (see: " + command + " --help)");
  return kUsage;
}

}  // namespace

Result<std::string> Session::server() const {
  std::string url = options_.server;
  if (url.empty()) url = world_.environment("ASTER_URL").value_or("");
  if (url.empty()) {
    ASTER_TRY(const LoginStore store, LoginStore::open(world_.environment));
    const auto stored = store.server();
    if (!stored) {
      return fail(Errc::precondition_failed,
                  "no server is known: run 'aster login URL --user NAME' first, or give --server");
    }
    url = *stored;
  }
  return normalize_master_url(url);
}

Result<std::filesystem::path> Session::token_file() const {
  if (!options_.token_file.empty()) return std::filesystem::path(options_.token_file);
  if (const auto file = world_.environment("ASTER_ADMIN_TOKEN_FILE")) {
    return std::filesystem::path(*file);
  }
  ASTER_TRY(const LoginStore store, LoginStore::open(world_.environment));
  return store.token_path();
}

Result<ServerTrust> Session::trust(const std::string& server) const {
  ServerTrust trust;
  if (!options_.ca_file.empty()) trust.ca_file = std::filesystem::absolute(options_.ca_file);
  trust.pin = options_.pin;
  if (!trust.pin.empty()) ASTER_TRY(check_pin(trust.pin));
  if (trust.empty()) {
    const auto store = LoginStore::open(world_.environment);
    const auto stored = store.ok() ? store->server() : Result<std::string>(store.error());
    if (stored.ok() && *stored == server) {
      ASTER_TRY(trust, store->trust());
    }
  }
  if (world_.trust) world_.trust(trusting(trust, server));
  return trust;
}

Result<Api> Session::api() const {
  ASTER_TRY(std::string url, server());
  ASTER_TRY(const ServerTrust known, trust(url));
  static_cast<void>(known);
  ASTER_TRY(const std::filesystem::path file, token_file());
  auto token = read_secret_file(file);
  if (token.failed_with(Errc::not_found)) {
    return fail(Errc::precondition_failed, "not logged in (" + file.string() +
                                               " is missing): run 'aster login " + url +
                                               " --user NAME' first");
  }
  if (!token) return std::move(token).error();
  return Api(world_.http, std::move(url), std::move(token).value());
}

Result<std::string> Session::password(const std::string& file, const std::string& prompt) const {
  if (file.empty()) return world_.ask_secret(prompt);
  return read_secret_file(file);
}

CLI::App* Commands::group(const std::string& name, const std::string& description) {
  CLI::App* group = app_.add_subcommand(name, description);
  group->require_subcommand(1);
  return group;
}

CLI::App* Commands::add(CLI::App* parent, const std::string& name, const std::string& description,
                        Action action) {
  CLI::App* command = parent->add_subcommand(name, description);
  command->add_flag("--json", options_.json, "Print JSON");
  command->add_option("--server", options_.server, "The primary, instead of the one logged in to");
  command->add_option("--token-file", options_.token_file, "File with the bearer token");
  command->add_option("--ca-file", options_.ca_file,
                      "PEM file of the authorities to trust for https, kept with a login");
  command->add_option("--pin", options_.pin,
                      "Public key that the primary must have, sha256//BASE64, kept with a login");
  // A command may have commands of its own; theirs run first.
  command->callback([this, command, action = std::move(action)] {
    if (command->get_subcommands().empty()) chosen_ = action;
  });
  return command;
}

int run(World& world, const std::vector<std::string>& arguments) {
  CLI::App app("Administers an Aster drive: nodes, targets, policies, users.", "aster");
  app.set_version_flag("--version", "aster " ASTER_VERSION);
  app.require_subcommand(1);
  Commands commands(app);
  add_login_commands(commands);
  add_node_commands(commands);
  add_target_commands(commands);
  add_policy_commands(commands);
  add_group_commands(commands);
  add_user_commands(commands);
  add_webdav_account_commands(commands);
  add_team_commands(commands);
  add_token_commands(commands);
  add_password_command(commands);
  add_audit_commands(commands);
  add_status_command(commands);
  add_sync_command(commands);
  add_trash_commands(commands);
  add_quota_commands(commands);
  add_version_commands(commands);
  add_verify_command(commands);
  try {
    // CLI11 takes them from the back.
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::Success& wanted) {  // --help, --version
    app.exit(wanted, world.out, world.err);
    return 0;
  } catch (const CLI::ParseError& error) {
    return refuse_usage(world, app, error);
  }
  Session session(world, commands.options());
  return finish(world, session, commands.chosen()(session));
}

}  // namespace aster::cli
