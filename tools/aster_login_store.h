#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/result.h"
#include "protocol/client/server_trust.h"

namespace aster::cli {

/// Reads an environment variable; nullopt when it is not set or empty.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

/// The login of this user on this machine: the files `server` (URL), `token` and `trust` in one
/// folder, $ASTER_CONFIG_DIR, else $XDG_CONFIG_HOME/aster, else ~/.config/aster.
class LoginStore {
 public:
  /// precondition_failed when the environment names no home.
  static Result<LoginStore> open(const Environment& environment);

  std::filesystem::path token_path() const { return folder_ / "token"; }
  std::filesystem::path server_path() const { return folder_ / "server"; }

  /// not_found when nobody has logged in.
  Result<std::string> server() const;
  /// What was said of https at that login.
  Result<ServerTrust> trust() const { return read_trust(folder_); }
  Result<void> save(std::string_view server, std::string_view token,
                    const ServerTrust& trust) const;

 private:
  explicit LoginStore(std::filesystem::path folder) : folder_(std::move(folder)) {}
  std::filesystem::path folder_;
};

}  // namespace aster::cli
