#include "protocol/http_text.h"

#include <algorithm>

#include "protocol/base/ids.h"
#include "protocol/base/text.h"

namespace aster {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool is_alphanumeric(unsigned char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

Result<std::string> decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += plus_is_space && text[i] == '+' ? ' ' : text[i];
      continue;
    }
    std::byte value;
    if (i + 2 >= text.size() || !decode_hex(text.substr(i + 1, 2), &value, 1)) {
      return fail(Errc::bad_request, "malformed percent escape");
    }
    out += static_cast<char>(value);
    i += 2;
  }
  if (!is_utf8(out)) return fail(Errc::bad_request, "text is not UTF-8");
  return out;
}

}  // namespace

std::string_view trim(std::string_view text) noexcept {
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

void append_percent(std::string& out, unsigned char byte) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  out += '%';
  out += kDigits[byte >> 4];
  out += kDigits[byte & 15];
}

Result<std::string> percent_decode(std::string_view text) {
  return decode(text, false);
}
Result<std::string> form_decode(std::string_view text) {
  return decode(text, true);
}

std::string form_encode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (is_alphanumeric(byte) || std::string_view("*-._").find(c) != std::string_view::npos) {
      out += c;
    } else if (c == ' ') {
      out += '+';
    } else {
      append_percent(out, byte);
    }
  }
  return out;
}

std::string form_encode(const QueryList& query) {
  std::string out;
  for (const auto& [name, value] : query) {
    if (!out.empty()) out += '&';
    out += form_encode(name) + '=' + form_encode(value);
  }
  return out;
}

Result<QueryList> form_decode_query(std::string_view raw_query) {
  QueryList out;
  while (!raw_query.empty()) {
    const size_t end = raw_query.find('&');
    const std::string_view segment = raw_query.substr(0, end);
    raw_query.remove_prefix(end == std::string_view::npos ? raw_query.size() : end + 1);
    if (segment.empty()) continue;
    const size_t equals = segment.find('=');
    ASTER_TRY(std::string name, form_decode(segment.substr(0, equals)));
    std::string value;
    if (equals != std::string_view::npos) {
      ASTER_TRY(value, form_decode(segment.substr(equals + 1)));
    }
    out.emplace_back(std::move(name), std::move(value));
  }
  return out;
}

}  // namespace aster
