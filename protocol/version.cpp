#include "protocol/version.h"

#include "protocol/http_text.h"

namespace aster {
namespace {

struct Release {
  uint16_t major = 0;
  uint16_t minor = 0;
};

std::optional<Release> parse_release(std::string_view text) {
  const size_t dot = text.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view minor = text.substr(dot + 1);
  const auto first = parse_decimal<uint16_t>(text.substr(0, dot));
  const auto second = parse_decimal<uint16_t>(minor.substr(0, minor.find('.')));
  if (!first || !second) return std::nullopt;
  return Release{*first, *second};
}

}  // namespace

std::optional<uint16_t> parse_protocol_version(std::string_view text) noexcept {
  text = trim(text);
  if (text.starts_with('v') || text.starts_with('V')) text.remove_prefix(1);
  return parse_decimal<uint16_t>(text);
}

Negotiation negotiate(ProtocolRange local, std::string_view remote_version,
                      std::string_view remote_min) noexcept {
  const auto max = parse_protocol_version(remote_version);
  if (!max) return Negotiation::invalid;
  const auto min = trim(remote_min).empty() ? max : parse_protocol_version(remote_min);
  if (!min) return Negotiation::invalid;
  if (*min > *max) return Negotiation::inverted;
  if (*max < local.min || *min > local.max) return Negotiation::incompatible;
  return Negotiation::ok;
}

std::optional<Dialect> dialect_of_user_agent(std::string_view user_agent) noexcept {
  constexpr std::string_view kProduct = "AsterDrive/";
  const size_t start = user_agent.find(kProduct);
  if (start == std::string_view::npos) return std::nullopt;
  const auto release = parse_release(user_agent.substr(start + kProduct.size()));
  if (!release) return std::nullopt;
  return release->major == 0 && release->minor < 3 ? Dialect::num : Dialect::str;
}

Dialect choose_dialect(std::optional<std::string_view> user_agent,
                       std::optional<Dialect> remembered) noexcept {
  if (user_agent) {
    if (const auto told = dialect_of_user_agent(*user_agent)) return *told;
  }
  return remembered.value_or(Dialect::num);
}

}  // namespace aster
