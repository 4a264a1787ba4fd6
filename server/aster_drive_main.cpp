// Composition root of the server, in either mode, and its commands.
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstring>
#include <fstream>
#include <functional>
#include <iostream>

#include "protocol/base/config.h"
#include "protocol/base/log.h"
#include "server/backup_command.h"
#include "server/check_command.h"
#include "server/doctor_command.h"
#include "server/enroll_command.h"
#include "server/files/file_api.h"
#include "server/follower/follower.h"
#include "server/primary/primary_main.h"
#include "server/service_notify.h"
#include "server/user_command.h"
#include "server/webdav/front_end.h"

namespace aster {
namespace {

/// A started server of either mode; `stop` ends it and must be called once.
struct Running {
  uint16_t port = 0;
  std::function<void(std::chrono::milliseconds grace)> stop;
  std::function<Result<void>()> reload;  ///< SIGHUP
};

template <class Server>
Result<Running> run_as(Result<std::unique_ptr<Server>> started) {
  ASTER_TRY(std::shared_ptr<Server> server, std::move(started));
  const uint16_t port = server->port();
  return Running{port, [server](std::chrono::milliseconds grace) { server->stop(grace); },
                 [server] { return server->reload(); }};
}

/// One branch per mode.
Result<Running> start_server(const Config& config) {
  const std::string& mode = config.text("server.start_mode");
  if (mode == "follower") return run_as(follower::Follower::start(config));
  if (mode == "primary") {
    primary::PrimaryOptions options;
    options.front_ends = {webdav::make_front_end, files::make_front_end};
    return run_as(primary::Primary::start(config, std::move(options)));
  }
  return fail(Errc::unsupported, "server.start_mode \"" + mode + "\" is not in this build");
}

void set_up_log(const Config& config) {
  const std::string& word = config.text("logging.level");
  const auto level = log::parse_level(word == "trace" ? "debug" : word);
  if (level.ok()) log::set_level(*level);
  for (const std::string& key : config.ignored()) {
    ASTER_LOG(warn, "configuration key without effect", {"key", key});
  }
}

Result<Config> load_or_create(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) {
    ASTER_TRY(create_config(file, {}));
    ASTER_LOG(info, "configuration created", {"file", file.string()});
  }
  return Config::load(file, Config::process_environment());
}

/// Written aside and renamed: who waits for the file never reads half a number.
Result<void> write_port_file(const std::filesystem::path& file, uint16_t port) {
  if (file.empty()) return ok();
  const std::filesystem::path temp = file.string() + ".new";
  std::ofstream(temp) << port << "\n";
  std::error_code error;
  std::filesystem::rename(temp, file, error);
  if (error) return fail(Errc::io_error, "server.port_file " + file.string());
  return ok();
}

/// SIGHUP asks to read the certificate again, the others end the server.
sigset_t awaited_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  return set;
}

/// Each connection is a descriptor and most hold a file as well: the usual soft limit of 1024 would
/// end long before server.max_connections.
void raise_file_limit() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == files.rlim_max) return;
  files.rlim_cur = files.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &files) != 0) ASTER_LOG(warn, "file limit not raised");
}

void reload(const Running& server) {
  notify_reloading();
  const Result<void> done = server.reload();
  if (done.ok()) {
    ASTER_LOG(info, "reloaded");
  } else {
    ASTER_LOG(error, "not_reloaded", {"err", done.error()});
  }
  notify_reloaded();
}

/// The first signal that ends the server; it reloads on others, and systemd hears a beat meanwhile.
int wait_for_end(const Running& server, const sigset_t& awaited, const Watchdog& watchdog) {
  for (;;) {
    watchdog.beat();
    const auto pause = watchdog.interval().value_or(std::chrono::hours(24));
    const timespec time{pause.count() / 1000, pause.count() % 1000 * 1'000'000};
    const int signal = sigtimedwait(&awaited, nullptr, &time);
    if (signal == SIGHUP) reload(server);
    if (signal > 0 && signal != SIGHUP) return signal;
  }
}

Result<void> serve(const std::filesystem::path& file) {
  // Before any thread exists, so that all of them leave these signals to sigwait().
  const sigset_t awaited = awaited_signals();
  pthread_sigmask(SIG_BLOCK, &awaited, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  ASTER_TRY(const Config config, load_or_create(file));
  set_up_log(config);
  raise_file_limit();
  ASTER_TRY(const Running server, start_server(config));
  ASTER_TRY(write_port_file(config.path("server.port_file"), server.port));
  notify_ready(server.port);
  const int signal =
      wait_for_end(server, awaited, Watchdog(config.text("server.host"), server.port));
  ASTER_LOG(info, "stopping", {"signal", strsignal(signal)});
  notify_stopping();
  server.stop(std::chrono::seconds(config.integer("server.shutdown_grace_secs")));
  return ok();
}

struct CommandLine {
  CLI::App app{"AsterDrive server: primary or follower, as server.start_mode says"};
  std::string config_file = "data/config.toml";
  EnrollCommand enroll;
  UserAddCommand user_add;
  BackupCommand backup;
  CheckCommand check;
  DoctorCommand doctor;
  CLI::App* serve = nullptr;
  CLI::App* node = nullptr;
  CLI::App* enroll_command = nullptr;
  CLI::App* user_add_command = nullptr;
  CLI::App* backup_command = nullptr;
  CLI::App* restore_command = nullptr;
  CLI::App* check_command = nullptr;
  CLI::App* doctor_command = nullptr;
};

void add_enroll_options(CLI::App& app, EnrollCommand& out) {
  app.add_option("--master-url", out.master_url, "Base URL of the primary")
      ->envname("ASTER_CLI_MASTER_URL")
      ->required();
  app.add_option("--token", out.token, "Enrollment token, as the primary shows it once")
      ->envname("ASTER_CLI_ENROLLMENT_TOKEN")
      ->required();
  app.add_option("--database-url", out.database_url, "Instead of database.url")
      ->envname("ASTER_CLI_DATABASE_URL");
  app.add_option("--output-format", out.output_format, "auto, json, pretty-json or human")
      ->envname("ASTER_CLI_OUTPUT_FORMAT")
      ->check(CLI::IsMember({"auto", "json", "pretty-json", "human"}));
}

void add_user_options(CLI::App& app, UserAddCommand& out) {
  app.add_option("NAME", out.name, "Name of the account")->required();
  app.add_option("--password-file", out.password_file,
                 "File whose first line is the password ('-': standard input)")
      ->required();
  app.add_option("--database-url", out.database_url, "Instead of database.url");
  app.add_flag("--admin", out.admin, "Make it an administrator");
}

void define_backup(CommandLine& line) {
  line.backup_command = line.app.add_subcommand(
      "backup", "Copy this primary's database into one file, while the server runs");
  line.restore_command =
      line.app.add_subcommand("restore", "Put such a copy in the place of the database");
  for (CLI::App* command : {line.backup_command, line.restore_command}) {
    command->fallthrough();
    command->add_option("FILE", line.backup.file, "The copy")->required();
  }
  line.backup_command
      ->add_option("--keep-days", line.backup.keep_days,
                   "How long followers keep the objects that the copy names")
      ->capture_default_str()
      ->check(CLI::Range(0, 3650));
  line.restore_command->add_flag("--replace", line.backup.replace,
                                 "Move a database that is there aside");
}

void define_doctor(CommandLine& line) {
  line.doctor_command = line.app.add_subcommand(
      "doctor", "Look at everything this server needs, and say what is wrong");
  line.doctor_command->fallthrough();
  line.doctor_command->add_flag("--json", line.doctor.json, "Print JSON");
}

void define_check(CommandLine& line) {
  line.check_command =
      line.app.add_subcommand("check", "Hold this primary's database against its own rules");
  line.check_command->fallthrough();
  line.check_command->add_flag("--deep", line.check.deep, "Also ask the nodes for every object");
  line.check_command->add_flag("--repair", line.check.repair, "Set counters right");
  line.check_command->add_flag("--json", line.check.json, "Print JSON");
}

void define(CommandLine& line) {
  line.app.set_version_flag("--version", std::string("aster_drive " ASTER_VERSION));
  line.app.add_option("--config", line.config_file, "Configuration file")->capture_default_str();
  line.app.require_subcommand(0, 1);
  line.app.fallthrough();
  line.serve = line.app.add_subcommand("serve", "Run the server (the default)");
  line.node = line.app.add_subcommand("node", "This server as a node of a primary");
  line.node->require_subcommand(1);
  line.node->fallthrough();
  line.enroll_command = line.node->add_subcommand("enroll", "Bind this follower to a primary");
  line.enroll_command->fallthrough();
  add_enroll_options(*line.enroll_command, line.enroll);
  CLI::App* user = line.app.add_subcommand("user", "Accounts of this primary");
  user->require_subcommand(1);
  user->fallthrough();
  line.user_add_command =
      user->add_subcommand("add", "Add an account to the database, whether the server runs or not");
  line.user_add_command->fallthrough();
  add_user_options(*line.user_add_command, line.user_add);
  define_backup(line);
  define_check(line);
  define_doctor(line);
}

int run(int argc, char** argv) {
  CommandLine line;
  define(line);
  try {
    line.app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    const int status = line.app.exit(e);
    return status == 0 ? 0 : 2;
  }
  if (*line.enroll_command) {
    line.enroll.config_file = line.config_file;
    return run_enroll(line.enroll, std::cout);
  }
  if (*line.user_add_command) {
    line.user_add.config_file = line.config_file;
    return run_user_add(line.user_add, std::cout, std::cerr);
  }
  line.backup.config_file = line.config_file;
  if (*line.backup_command) return run_backup(line.backup, std::cout, std::cerr);
  if (*line.restore_command) return run_restore(line.backup, std::cout, std::cerr);
  line.doctor.config_file = line.config_file;
  if (*line.doctor_command) return run_doctor(line.doctor, std::cout, std::cerr);
  line.check.config_file = line.config_file;
  if (*line.check_command) return run_check(line.check, std::cout, std::cerr);
  const Result<void> served = serve(line.config_file);
  if (served.ok()) return 0;
  ASTER_LOG(error, "cannot serve", {"err", served.error()});
  return 1;
}

}  // namespace
}  // namespace aster

int main(int argc, char** argv) {
  try {
    return aster::run(argc, argv);
  } catch (const std::exception& e) {
    ASTER_LOG(error, "fatal", {"err", e.what()});
    return 1;
  }
}
