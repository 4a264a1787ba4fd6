#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"

/// The If header of RFC 4918 section 10.4.
namespace aster::webdav {

struct IfCondition {
  bool negated = false;
  bool is_tag = false;  ///< `value` is an entity tag with its quotes, else a state token
  std::string value;
};

/// Holds when every condition does.
struct IfList {
  std::optional<std::string> resource;  ///< URL; nullopt: what the request names
  std::vector<IfCondition> conditions;
};

/// Holds when any list does. bad_request.
Result<std::vector<IfList>> parse_if_header(std::string_view text);

}  // namespace aster::webdav
