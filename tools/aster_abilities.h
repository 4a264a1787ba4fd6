#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <utility>
#include <vector>

namespace aster::cli {

/// What a node said of itself when it was tested last, and for which policies that is enough, as
/// lines for describe(). "-" for what it did not say.
std::vector<std::pair<std::string, std::string>> describe_abilities(const boost::json::value& node);

}  // namespace aster::cli
