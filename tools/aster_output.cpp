#include "tools/aster_output.h"

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <cstdint>

#include "protocol/base/text.h"

namespace aster::cli {
namespace {

namespace json = boost::json;

const json::value* find(const json::value& object, std::string_view name) {
  if (!object.is_object()) return nullptr;
  const json::value* value = object.get_object().if_contains({name.data(), name.size()});
  return value && !value->is_null() ? value : nullptr;
}

std::string to_text(const json::value& value) {
  if (value.is_bool()) return value.get_bool() ? "yes" : "no";
  if (value.is_string()) {
    const json::string& text = value.get_string();
    return text.empty() ? "-" : printable({text.data(), text.size()});
  }
  return json::serialize(value);
}

/// Columns of a terminal, near enough: code points of UTF-8.
size_t width(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace

std::string printable(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      out += c;
    } else {
      out.append("\\x").append({kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  return out;
}

std::string field(const json::value& object, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    if (const json::value* value = find(object, name)) return to_text(*value);
  }
  return "-";
}

std::string byte_field(const json::value& object, std::string_view name) {
  const json::value* value = find(object, name);
  if (!value || !value->is_number()) return "-";
  const double bytes = value->to_number<double>();
  if (bytes <= 0) return "-";
  return shown_bytes(static_cast<uint64_t>(bytes));
}

std::string Table::text() const {
  std::vector<size_t> widths(rows_.front().size());
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  std::string out;
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i] + std::string(widths[i] - width(row[i]) + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + '\n';
  }
  return out;
}

std::string describe(const std::vector<std::pair<std::string, std::string>>& lines) {
  size_t longest = 0;
  for (const auto& [name, value] : lines) longest = std::max(longest, name.size());
  std::string out;
  for (const auto& [name, value] : lines) {
    out += name + ":" + std::string(longest - name.size() + 1, ' ') + value + '\n';
  }
  return out;
}

}  // namespace aster::cli
