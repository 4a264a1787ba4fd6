#pragma once

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

#include "protocol/base/check.h"

namespace aster::testing {

/// The golden vectors of the follower protocol (tests/data/vectors.json).
inline const boost::json::object& vectors() {
  static const boost::json::value all = [] {
    std::ifstream file(ASTER_TEST_DATA "/vectors.json");
    std::stringstream text;
    text << file.rdbuf();
    ASTER_CHECK(file.good() || file.eof());
    return boost::json::parse(text.str());
  }();
  return all.get_object();
}

inline const boost::json::array& vectors(std::string_view section) {
  return vectors().at({section.data(), section.size()}).as_array();
}

/// The vector of a section with this id.
inline const boost::json::object& vector_by_id(std::string_view section, std::string_view id) {
  for (const auto& item : vectors(section)) {
    const auto& text = item.at("id").as_string();
    if (std::string_view(text.data(), text.size()) == id) return item.as_object();
  }
  check_failed("a vector with this id", __FILE__, __LINE__);
}

inline std::string text(const boost::json::value& value) {
  return std::string(value.as_string().data(), value.as_string().size());
}

}  // namespace aster::testing
