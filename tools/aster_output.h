#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace aster::cli {

/// Text of a stranger for a terminal: control characters escaped.
std::string printable(std::string_view text);

/// A member as text for people: printable strings, numbers, "yes" and "no"; "-" when absent, null
/// or empty. The first of `names` that is there counts.
std::string field(const boost::json::value& object, std::initializer_list<std::string_view> names);
inline std::string field(const boost::json::value& object, std::string_view name) {
  return field(object, {name});
}

/// Bytes for people, e.g. "16 MiB"; "-" for zero, absent or negative: no limit, unknown.
std::string byte_field(const boost::json::value& object, std::string_view name);

/// Columns under headings, two blanks apart.
class Table {
 public:
  explicit Table(std::vector<std::string> headings) { rows_.push_back(std::move(headings)); }
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  /// Every line ends with '\n'; no blanks at the end of a line.
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

/// "name: value" lines with the values in one column.
std::string describe(const std::vector<std::pair<std::string, std::string>>& lines);

}  // namespace aster::cli
