#include "server/webdav/xml_text.h"

#include "protocol/base/text.h"

namespace aster::webdav {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

bool forbidden_control(unsigned char c) {
  return c < 0x20 && c != '\t' && c != '\n' && c != '\r';
}

/// Bytes of the valid character at the start of `text`; 0 when there is none.
size_t character_at(std::string_view text) {
  for (size_t n = 1; n <= 4 && n <= text.size(); ++n) {
    if (is_utf8(text.substr(0, n))) return n;
  }
  return 0;
}

/// U+FFFE and U+FFFF are no characters of XML.
bool is_noncharacter(std::string_view character) {
  return character == "\xef\xbf\xbe" || character == "\xef\xbf\xbf";
}

}  // namespace

std::string xml_escape(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t n = character_at(text);
    const std::string_view character = text.substr(0, n);
    text.remove_prefix(n == 0 ? 1 : n);
    if (n == 0 || is_noncharacter(character) ||
        forbidden_control(static_cast<unsigned char>(character[0]))) {
      out += kReplacement;
    } else if (character == "&") {
      out += "&amp;";
    } else if (character == "<") {
      out += "&lt;";
    } else if (character == ">") {
      out += "&gt;";
    } else if (character == "\"") {
      out += "&quot;";
    } else if (character == "\r") {
      out += "&#13;";  // a reader would make a line feed of it
    } else {
      out += character;
    }
  }
  return out;
}

bool is_xml_text(std::string_view text) noexcept {
  if (!is_utf8(text)) return false;
  for (const char c : text) {
    if (forbidden_control(static_cast<unsigned char>(c))) return false;
  }
  return text.find("\xef\xbf\xbe") == std::string_view::npos &&
         text.find("\xef\xbf\xbf") == std::string_view::npos;
}

}  // namespace aster::webdav
