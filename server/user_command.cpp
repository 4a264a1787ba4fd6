#include "server/user_command.h"

#include <ostream>

#include "protocol/base/config.h"
#include "protocol/base/secret_file.h"
#include "server/primary/primary_main.h"

namespace aster {
namespace {

/// A configuration that is not there yet is made, as the server would do on its first start.
Result<Config> load_config(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) ASTER_TRY(create_config(file, {}));
  return Config::load(file, Config::process_environment());
}

Result<void> add_user(const UserAddCommand& command) {
  ASTER_TRY(const Config config, load_config(command.config_file));
  if (config.text("server.start_mode") != "primary") {
    return fail(Errc::precondition_failed,
                "server.start_mode is not \"primary\": a follower has no accounts");
  }
  ASTER_TRY(std::string password, read_secret_file(command.password_file));
  const std::string url = command.database_url.empty()
                              ? config.database_url()
                              : config.absolute_database_url(command.database_url);
  return primary::add_account(url, {command.name, std::move(password), command.admin});
}

}  // namespace

int run_user_add(const UserAddCommand& command, std::ostream& out, std::ostream& errors) {
  const Result<void> added = add_user(command);
  if (!added.ok()) {
    errors << "aster_drive: user add: " << added.error().context << "\n";
    return 1;
  }
  out << "user '" << command.name << "' is added\n";
  return 0;
}

}  // namespace aster
