#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/base/result.h"

/// Small text forms of HTTP: numbers, blanks, percent and form encoding.
namespace aster {

/// Without ASCII blanks (space, tab, CR, LF) at both ends.
std::string_view trim(std::string_view text) noexcept;

bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept;

/// The whole text as a decimal number of type T; an optional leading '+' is taken, as the
/// reference's parser does; '-' for signed types. nullopt for anything else, also when too large.
template <class T>
std::optional<T> parse_decimal(std::string_view text) noexcept {
  if (text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.starts_with('-')) return std::nullopt;
  }
  T value{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || error != std::errc() || stop != end) return std::nullopt;
  return value;
}

/// Undoes %XX once; '+' stays '+'. bad_request for a malformed escape or bytes that are not UTF-8.
Result<std::string> percent_decode(std::string_view text);

/// Query string form: space as '+', letters, digits and "*-._" as they are, the rest as %XX.
std::string form_encode(std::string_view text);
/// Inverse of form_encode. bad_request for a malformed escape or bytes that are not UTF-8.
Result<std::string> form_decode(std::string_view text);

using QueryList = std::vector<std::pair<std::string, std::string>>;
/// "a=1&b=x+y", in the order given; empty for an empty list.
std::string form_encode(const QueryList& query);
/// The parameters of a raw query in order; empty segments are dropped, a name without '=' has an
/// empty value. bad_request as form_decode.
Result<QueryList> form_decode_query(std::string_view raw_query);

/// Appends `%XX` (upper case) for one byte.
void append_percent(std::string& out, unsigned char byte);

}  // namespace aster
