#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace aster {

/// True for well-formed UTF-8 (no surrogates, no overlong forms, at most U+10FFFF).
bool is_utf8(std::string_view bytes) noexcept;

/// Standard base64 with padding (RFC 4648 section 4).
std::string encode_base64(std::string_view bytes);
/// nullopt for anything that encode_base64 would not have written.
std::optional<std::string> decode_base64(std::string_view text);

/// For people, to a tenth: "512 B", "1 KiB", "12.3 MiB".
std::string shown_bytes(uint64_t bytes);

}  // namespace aster
