#pragma once

#include <functional>
#include <optional>
#include <string>

#include "fuse/mount_options.h"
#include "protocol/base/result.h"
#include "protocol/base/task.h"
#include "protocol/client/http_client.h"
#include "protocol/client/server_trust.h"

namespace aster {

/// Reads an environment variable; nullopt when it is not set or empty.
using Environment = std::function<std::optional<std::string>(const char* name)>;

/// Which primary, and how to prove who mounts. Holds a secret: never log it.
struct Credentials {
  std::string server;
  std::string token;  ///< empty: log in with user and password
  std::string user;
  std::string password;
  ServerTrust trust;  ///< as the options say, else as the login for this server does
};

/// From the options, else from what `aster login` left: the files `server` and `token` in
/// $ASTER_CONFIG_DIR, $XDG_CONFIG_HOME/aster, ~/.config/aster or /etc/aster, the first folder that
/// has them. A stored token is used for the server it was made for only.
Result<Credentials> find_credentials(const MountOptions& options, const Environment& environment);

/// A bearer token by user and password.
Task<Result<std::string>> log_in(HttpClient& http, Credentials credentials);

}  // namespace aster
