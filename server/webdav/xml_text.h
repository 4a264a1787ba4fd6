#pragma once

#include <string>
#include <string_view>

namespace aster::webdav {

/// Escaped for text and for attributes in double quotes. What XML cannot carry (control characters,
/// bytes that are not UTF-8) becomes U+FFFD.
std::string xml_escape(std::string_view text);
/// True for UTF-8 without characters that XML 1.0 forbids.
bool is_xml_text(std::string_view text) noexcept;

}  // namespace aster::webdav
