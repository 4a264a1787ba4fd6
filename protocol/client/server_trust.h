#pragma once

#include <filesystem>
#include <string>

#include "protocol/client/curl_http_client.h"

namespace aster {

/// Whom a client takes for its primary over https, besides or instead of what the system trusts.
struct ServerTrust {
  std::string ca_file;  ///< PEM, absolute; empty = the system's authorities
  std::string pin;      ///< as check_pin(); empty = any key
  bool empty() const { return ca_file.empty() && pin.empty(); }
};

/// The file `trust` of a folder of logins; empty when there is none. bad_request for a file that
/// says something else.
Result<ServerTrust> read_trust(const std::filesystem::path& folder);
/// Removes the file when there is nothing to keep.
Result<void> write_trust(const std::filesystem::path& folder, const ServerTrust& trust);

/// `server`: normalised URL. The pin holds for it alone, not for followers.
CurlHttpClientOptions trusting(const ServerTrust& trust, const std::string& server);

}  // namespace aster
