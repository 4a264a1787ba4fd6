#include "server/http/forwarded.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "protocol/http_text.h"
#include "server/http/http.h"

namespace aster::http {
namespace {

constexpr unsigned kMappedBits = 96;
constexpr AddressBytes kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool is_mapped(const AddressBytes& address) {
  return std::equal(address.begin(), address.begin() + 12, kMappedPrefix.begin());
}

/// Without the brackets, and without the port, of "[::1]:80", "[::1]" and "192.0.2.1:80".
std::string_view bare(std::string_view text) {
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string_view::npos) return {};
    const std::string_view rest = text.substr(end + 1);
    if (!rest.empty() && !(rest[0] == ':' && parse_decimal<uint16_t>(rest.substr(1)))) return {};
    return text.substr(1, end - 1);
  }
  if (std::count(text.begin(), text.end(), ':') != 1) return text;
  const size_t colon = text.find(':');
  return parse_decimal<uint16_t>(text.substr(colon + 1)) ? text.substr(0, colon) : text;
}

/// Bits of a prefix length within `most`.
std::optional<unsigned> prefix_bits(std::string_view text, unsigned most) {
  const auto bits = parse_decimal<uint16_t>(text);
  if (!bits || *bits > most) return std::nullopt;
  return *bits;
}

/// All values of a field, also of one that came several times, in order.
std::vector<std::string_view> values_of(const HeaderList& headers, std::string_view name) {
  std::vector<std::string_view> out;
  for (const auto& [key, value] : headers) {
    if (!equals_ignoring_case(key, name)) continue;
    std::string_view rest = value;
    for (;;) {
      const size_t comma = rest.find(',');
      out.push_back(trim(rest.substr(0, comma)));
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  }
  return out;
}

bool is_authority(std::string_view text) {
  return !text.empty() && text.size() <= 255 &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '.' || c == '-' || c == ':' || c == '[' || c == ']';
         });
}

}  // namespace

std::optional<AddressBytes> parse_address(std::string_view text) {
  const std::string plain(bare(text));
  AddressBytes out = kMappedPrefix;
  if (::inet_pton(AF_INET, plain.c_str(), out.data() + 12) == 1) return out;
  if (::inet_pton(AF_INET6, plain.c_str(), out.data()) == 1) return out;
  return std::nullopt;
}

std::string to_text(const AddressBytes& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (is_mapped(address)) {
    ::inet_ntop(AF_INET, address.data() + 12, text, sizeof text);
  } else {
    ::inet_ntop(AF_INET6, address.data(), text, sizeof text);
  }
  return text;
}

Result<NetworkList> NetworkList::parse(const std::vector<std::string>& items) {
  NetworkList list;
  for (const std::string& item : items) {
    const std::string_view text = item;
    const size_t slash = text.find('/');
    const auto address = parse_address(text.substr(0, slash));
    std::optional<unsigned> bits = 128;
    if (address && slash != std::string_view::npos) {
      const bool v4 = text.find(':') == std::string_view::npos;
      bits = prefix_bits(text.substr(slash + 1), v4 ? 32 : 128);
      if (bits && v4) *bits += kMappedBits;
    }
    if (!address || !bits) {
      return fail(Errc::bad_request,
                  "\"" + item + "\" is no network such as 10.0.0.0/8, fd00::/8 or 192.0.2.1");
    }
    list.networks_.push_back({*address, *bits});
  }
  return list;
}

bool NetworkList::contains(const AddressBytes& address) const {
  return std::any_of(networks_.begin(), networks_.end(), [&](const Network& network) {
    const size_t whole = network.bits / 8;
    if (std::memcmp(network.address.data(), address.data(), whole) != 0) return false;
    const unsigned rest = network.bits % 8;
    if (rest == 0) return true;
    const auto mask = static_cast<uint8_t>(0xff00u >> rest);
    return ((network.address[whole] ^ address[whole]) & mask) == 0;
  });
}

bool NetworkList::contains(std::string_view address) const {
  const auto parsed = parse_address(address);
  return parsed && contains(*parsed);
}

void apply_forwarded(Request& request, const NetworkList& proxies) {
  if (proxies.empty() || !proxies.contains(request.peer)) return;
  const auto hops = values_of(request.headers, "X-Forwarded-For");
  for (auto hop = hops.rbegin(); hop != hops.rend(); ++hop) {
    const auto address = parse_address(*hop);
    if (!address) break;
    request.peer = to_text(*address);
    if (!proxies.contains(*address)) break;
  }
  const auto schemes = values_of(request.headers, "X-Forwarded-Proto");
  if (!schemes.empty()) request.secure = equals_ignoring_case(schemes.back(), "https");
  const auto hosts = values_of(request.headers, "X-Forwarded-Host");
  if (!hosts.empty() && is_authority(hosts.back())) request.host = hosts.back();
}

}  // namespace aster::http
