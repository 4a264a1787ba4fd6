#pragma once

#include "protocol/base/config.h"
#include "server/http/http.h"

namespace aster::http {

/// What the configuration of either mode says about listening: addresses, limits, certificate,
/// proxies. `threads` is left to the caller. Fails when a certificate cannot be used, or with the
/// key that is wrong.
Result<ServerOptions> listen_options(const Config& config);

/// "https" when this configuration has a certificate, else "http".
std::string_view scheme_of(const Config& config);

}  // namespace aster::http
