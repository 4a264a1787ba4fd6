#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace aster {

/// Follower protocol numbers. The number stands still; what we can do beyond it is announced by
/// feature names in the capabilities (capabilities.h) and used only when both sides have it.
inline constexpr uint16_t kProtocolVersion = 5;
/// What our follower announces as its minimum: every primary from v2 on accepts it.
inline constexpr uint16_t kProtocolFloor = 2;

/// Sent by both of our sides on storage and enrolment calls. A peer reads from it that we speak the
/// string dialect.
inline constexpr std::string_view kUserAgent = "AsterDrive/0.5.0";

/// A closed range of protocol numbers.
struct ProtocolRange {
  uint16_t min = 0;
  uint16_t max = 0;
};

/// What our primary can talk to: each protocol there has been.
inline constexpr ProtocolRange kPrimaryRange{1, kProtocolVersion};

/// "v5", "V5", "5", also with blanks around; nullopt for anything else.
std::optional<uint16_t> parse_protocol_version(std::string_view text) noexcept;

enum class Negotiation {
  ok,            ///< the ranges touch; each side goes on in its own newest dialect
  incompatible,  ///< they do not
  inverted,      ///< the peer's minimum is above its maximum
  invalid,       ///< the peer's numbers cannot be read
};

/// Judges a follower's `protocol_version` and `min_supported_protocol_version` (empty: the same as
/// the version).
Negotiation negotiate(ProtocolRange local, std::string_view remote_version,
                      std::string_view remote_min) noexcept;

/// The two forms of the response envelope: v1-v3 have a number as `code`, later ones a string.
enum class Dialect { num, str };

/// From a peer's User-Agent: AsterDrive/<0.3.0 speaks numbers, later ones strings; nullopt for any
/// other program.
std::optional<Dialect> dialect_of_user_agent(std::string_view user_agent) noexcept;

/// The dialect to answer in: what the User-Agent says, else what the binding remembers, else num.
Dialect choose_dialect(std::optional<std::string_view> user_agent,
                       std::optional<Dialect> remembered) noexcept;

}  // namespace aster
