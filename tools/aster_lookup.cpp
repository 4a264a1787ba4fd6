#include "tools/aster_lookup.h"

#include "tools/aster_output.h"

namespace aster::cli {

namespace json = boost::json;

Result<json::object> find_item(const json::array& items, std::string_view kind,
                               const std::string& wanted,
                               std::initializer_list<std::string_view> keys) {
  std::string known;
  const json::value* by_key = nullptr;
  for (const json::value& item : items) {
    const std::string name = field(item, {"name", "username"});
    if (name == wanted) return item.as_object();
    for (const std::string_view key : keys) {
      if (!by_key && field(item, key) == wanted) by_key = &item;
    }
    known += (known.empty() ? "" : ", ") + name;
  }
  if (by_key) return by_key->as_object();
  return fail(Errc::not_found, "there is no " + std::string(kind) + " '" + wanted + "' (" +
                                   (known.empty() ? "there is none at all" : "known: " + known) +
                                   ")");
}

Result<json::object> find_node(Api& api, const std::string& wanted) {
  ASTER_TRY(const json::array nodes, api.list(kNodesPath, "list nodes"));
  return find_item(nodes, "node", wanted, {"id"});
}

Result<json::object> find_policy(Api& api, const std::string& wanted) {
  ASTER_TRY(const json::array policies, api.list(kPoliciesPath, "list policies"));
  return find_item(policies, "policy", wanted, {"id"});
}

std::string item_path(std::string_view path, const json::object& item) {
  return std::string(path) + "/" + field(item, "id");
}

}  // namespace aster::cli
