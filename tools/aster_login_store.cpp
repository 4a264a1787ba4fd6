#include "tools/aster_login_store.h"

#include "protocol/base/secret_file.h"

namespace aster::cli {

namespace fs = std::filesystem;

Result<LoginStore> LoginStore::open(const Environment& environment) {
  if (const auto folder = environment("ASTER_CONFIG_DIR")) return LoginStore(*folder);
  if (const auto base = environment("XDG_CONFIG_HOME"))
    return LoginStore(fs::path(*base) / "aster");
  if (const auto home = environment("HOME")) return LoginStore(fs::path(*home) / ".config/aster");
  return fail(Errc::precondition_failed, "neither HOME nor ASTER_CONFIG_DIR is set");
}

Result<std::string> LoginStore::server() const {
  return read_first_line(server_path());
}

Result<void> LoginStore::save(std::string_view server, std::string_view token,
                              const ServerTrust& trust) const {
  ASTER_TRY(write_trust(folder_, trust));
  ASTER_TRY(write_private_file(token_path(), std::string(token) + "\n"));
  return write_private_file(server_path(), std::string(server) + "\n");
}

}  // namespace aster::cli
