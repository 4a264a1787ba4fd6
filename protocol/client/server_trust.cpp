#include "protocol/client/server_trust.h"

#include <fstream>

#include "protocol/base/secret_file.h"

namespace aster {
namespace {

constexpr std::string_view kCaFile = "ca_file=";
constexpr std::string_view kPin = "pin=";

}  // namespace

Result<ServerTrust> read_trust(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "trust";
  ServerTrust trust;
  if (!std::filesystem::exists(file)) return trust;
  std::ifstream in(file);
  if (!in) return fail_errno("open " + file.string());
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(kCaFile)) {
      trust.ca_file = line.substr(kCaFile.size());
    } else if (line.starts_with(kPin)) {
      trust.pin = line.substr(kPin.size());
      ASTER_TRY(check_pin(trust.pin));
    } else if (!line.empty()) {
      return fail(Errc::bad_request, file.string() +
                                         ": a line is neither ca_file= nor pin=; "
                                         "log in again with 'aster login'");
    }
  }
  return trust;
}

Result<void> write_trust(const std::filesystem::path& folder, const ServerTrust& trust) {
  const std::filesystem::path file = folder / "trust";
  if (trust.empty()) {
    std::error_code error;
    std::filesystem::remove(file, error);
    return error ? Result<void>(fail_errno(error.value(), "remove " + file.string())) : ok();
  }
  std::string text;
  if (!trust.ca_file.empty()) text.append(kCaFile).append(trust.ca_file).append("\n");
  if (!trust.pin.empty()) text.append(kPin).append(trust.pin).append("\n");
  return write_private_file(file, text);
}

CurlHttpClientOptions trusting(const ServerTrust& trust, const std::string& server) {
  CurlHttpClientOptions options;
  options.ca_file = trust.ca_file;
  options.pinned_key = trust.pin;
  options.pinned_host = authority_of(server);
  return options;
}

}  // namespace aster
