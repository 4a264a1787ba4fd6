#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <initializer_list>
#include <string>
#include <string_view>

#include "tools/aster_api.h"

namespace aster::cli {

inline constexpr std::string_view kNodesPath = "/api/v1/admin/remote-nodes";
inline constexpr std::string_view kPoliciesPath = "/api/v1/admin/policies";
inline constexpr std::string_view kUsersPath = "/api/v1/admin/users";

/// The item that `wanted` names: by `name` (or `username`), else by one of `keys` (numbers or
/// strings). not_found names what there is instead; `kind` is the word for it, e.g. "node".
Result<boost::json::object> find_item(const boost::json::array& items, std::string_view kind,
                                      const std::string& wanted,
                                      std::initializer_list<std::string_view> keys);

/// A node by name or id, and a policy likewise.
Result<boost::json::object> find_node(Api& api, const std::string& wanted);
Result<boost::json::object> find_policy(Api& api, const std::string& wanted);

/// "PATH/ID" of an item with a numeric `id`.
std::string item_path(std::string_view path, const boost::json::object& item);

}  // namespace aster::cli
