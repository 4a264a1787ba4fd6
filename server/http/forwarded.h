#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"

namespace aster::http {

struct Request;

/// An address as 16 bytes: IPv4 in its mapped form, so that both families compare alike.
using AddressBytes = std::array<uint8_t, 16>;
/// "192.0.2.1", "2001:db8::1", also with brackets or a port behind; nullopt for anything else.
std::optional<AddressBytes> parse_address(std::string_view text);
/// The address as people write it.
std::string to_text(const AddressBytes& address);

/// Networks such as 10.0.0.0/8, fd00::/8 or single addresses.
class NetworkList {
 public:
  NetworkList() = default;
  /// bad_request names the item that is none.
  static Result<NetworkList> parse(const std::vector<std::string>& items);

  bool empty() const { return networks_.empty(); }
  bool contains(const AddressBytes& address) const;
  /// False for a text that is no address.
  bool contains(std::string_view address) const;

 private:
  struct Network {
    AddressBytes address;
    unsigned bits;  ///< of the 128
  };
  std::vector<Network> networks_;
};

/// Takes the client's address, its scheme and the host it asked for from X-Forwarded-For, -Proto
/// and -Host when `request.peer` is one of `proxies`; otherwise nothing changes, because anybody
/// can send these fields. The last address that is no proxy of ours counts: what stands before it
/// was the client's own say.
void apply_forwarded(Request& request, const NetworkList& proxies);

}  // namespace aster::http
