#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "tools/aster_command.h"
#include "tools/aster_lookup.h"
#include "tools/aster_output.h"

/// `aster group ...`: which of several policies a new file gets, and for whom.
namespace aster::cli {
namespace {

namespace json = boost::json;

constexpr std::string_view kGroupsPath = "/api/v1/admin/policy-groups";

struct GroupOptions {
  std::string name;
  std::string description;
  bool is_default = false;
  bool enable = false;
  bool disable = false;
  std::string policy;
  uint64_t priority = 0;
  uint64_t min_size = 0;
  uint64_t max_size = 0;
  std::string user;
  std::string team;
  uint64_t workspace = 0;
};

std::string quoted(const std::string& name) {
  return "policy group '" + name + "'";
}

Result<json::object> find_group(Api& api, const std::string& wanted) {
  ASTER_TRY(const json::array groups, api.list(kGroupsPath, "list policy groups"));
  return find_item(groups, "policy group", wanted, {"id"});
}

Result<Report> add_group(Session& session, const GroupOptions& options) {
  ASTER_TRY(Api api, session.api());
  const json::object body{{"name", options.name},
                          {"description", options.description},
                          {"is_default", options.is_default}};
  ASTER_TRY(json::value group, api.post(kGroupsPath, body, "add " + quoted(options.name)));
  return Report{std::move(group), quoted(options.name) + " is added\n", {}};
}

Result<Report> list_groups(Session& session) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(json::array groups, api.list(kGroupsPath, "list policy groups"));
  Table table({"ID", "NAME", "RULES", "ENABLED", "DEFAULT", "DESCRIPTION"});
  for (const json::value& group : groups) {
    table.add({field(group, "id"), field(group, "name"),
               std::to_string(group.at("items").as_array().size()), field(group, "is_enabled"),
               field(group, "is_default"), field(group, "description")});
  }
  return Report{std::move(groups), table.text(), {}};
}

std::string ids_of(const json::value& list) {
  std::string out;
  for (const json::value& id : list.as_array()) {
    out += (out.empty() ? "" : ", ") + std::to_string(id.to_number<uint64_t>());
  }
  return out.empty() ? "-" : out;
}

Result<Report> show_group(Session& session, const GroupOptions& options) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(json::object group, find_group(api, options.name));
  std::string text = describe({{"name", field(group, "name")},
                               {"id", field(group, "id")},
                               {"description", field(group, "description")},
                               {"enabled", field(group, "is_enabled")},
                               {"default", field(group, "is_default")},
                               {"user ids", ids_of(group.at("user_ids"))},
                               {"workspace ids", ids_of(group.at("workspace_ids"))}});
  Table table({"PRIORITY", "POLICY", "FROM", "BELOW", "ENABLED"});
  for (const json::value& rule : group.at("items").as_array()) {
    const json::value* policy = rule.as_object().if_contains("policy");
    table.add({field(rule, "priority"), policy ? field(*policy, "name") : field(rule, "policy_id"),
               byte_field(rule, "min_file_size"), byte_field(rule, "max_file_size"),
               field(rule, "is_enabled")});
  }
  text += table.text();
  return Report{std::move(group), std::move(text), {}};
}

Result<Report> set_group(Session& session, const GroupOptions& options) {
  json::object body;
  if (options.is_default) body["is_default"] = true;
  if (options.enable) body["is_enabled"] = true;
  if (options.disable) body["is_enabled"] = false;
  if (!options.description.empty()) body["description"] = options.description;
  if (body.empty()) {
    return fail(Errc::bad_request,
                "nothing to change: give --default, --enable, --disable or --description");
  }
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const json::object group, find_group(api, options.name));
  ASTER_TRY(json::value changed,
            api.patch(item_path(kGroupsPath, group), body, "change " + quoted(options.name)));
  return Report{std::move(changed), quoted(options.name) + " is changed\n", {}};
}

Result<Report> remove_group(Session& session, const GroupOptions& options) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const json::object group, find_group(api, options.name));
  ASTER_TRY(api.remove(item_path(kGroupsPath, group), "remove " + quoted(options.name)));
  return Report{group, quoted(options.name) + " is removed\n", {}};
}

/// The rules of a group without that of `policy`.
json::array other_rules(const json::object& group, const json::value& policy) {
  json::array rules;
  for (const json::value& rule : group.at("items").as_array()) {
    if (field(rule, "policy_id") == field(json::object{{"id", policy}}, "id")) continue;
    rules.push_back(rule);
  }
  return rules;
}

Result<Report> add_rule(Session& session, const GroupOptions& options) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const json::object group, find_group(api, options.name));
  ASTER_TRY(const json::object policy, find_policy(api, options.policy));
  json::array rules = other_rules(group, policy.at("id"));
  rules.push_back(json::object{{"policy_id", policy.at("id")},
                               {"priority", options.priority},
                               {"min_file_size", options.min_size},
                               {"max_file_size", options.max_size},
                               {"is_enabled", !options.disable}});
  ASTER_TRY(json::value changed, api.patch(item_path(kGroupsPath, group), {{"items", rules}},
                                           "change " + quoted(options.name)));
  return Report{std::move(changed), quoted(options.name) + " has the rule\n", {}};
}

Result<Report> remove_rule(Session& session, const GroupOptions& options) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const json::object group, find_group(api, options.name));
  ASTER_TRY(const json::object policy, find_policy(api, options.policy));
  const json::array rules = other_rules(group, policy.at("id"));
  if (rules.size() == group.at("items").as_array().size()) {
    return fail(Errc::not_found,
                quoted(options.name) + " has no rule for policy '" + options.policy + "'");
  }
  ASTER_TRY(json::value changed, api.patch(item_path(kGroupsPath, group), {{"items", rules}},
                                           "change " + quoted(options.name)));
  return Report{std::move(changed), quoted(options.name) + " has the rule no more\n", {}};
}

Result<Report> assign(Session& session, const GroupOptions& options) {
  const int given =
      int{!options.user.empty()} + int{!options.team.empty()} + int{options.workspace != 0};
  if (given != 1) return fail(Errc::bad_request, "give --user, --team or --workspace");
  ASTER_TRY(Api api, session.api());
  json::object body;
  if (!options.team.empty()) {
    body["workspace"] = "team:" + options.team;
  } else if (options.user.empty()) {
    body["workspace_id"] = options.workspace;
  } else {
    ASTER_TRY(const json::array users, api.list(kUsersPath, "list users"));
    ASTER_TRY(const json::object user, find_item(users, "user", options.user, {"id"}));
    body["user_id"] = user.at("id");
  }
  const std::string doing = "assign " + quoted(options.name);
  if (options.name == "none") {
    ASTER_TRY(api.post("/api/v1/admin/policy-group-assignments/remove", body, doing));
  } else {
    ASTER_TRY(const json::object group, find_group(api, options.name));
    ASTER_TRY(api.post(item_path(kGroupsPath, group) + "/assign", body, doing));
  }
  return Report{body, quoted(options.name) + " holds for new files\n", {}};
}

void describe_rule(CLI::App* command, GroupOptions& options) {
  command->add_option("NAME", options.name, "Name or id of the group")->required();
  command->add_option("--policy", options.policy, "Name or id of the policy")->required();
}

}  // namespace

void add_group_commands(Commands& commands) {
  auto options = std::make_shared<GroupOptions>();
  const auto with = [options](Result<Report> (*run)(Session&, const GroupOptions&)) {
    return [options, run](Session& session) { return run(session, *options); };
  };
  CLI::App* group = commands.group("group", "Which policy new files get, by size and for whom");
  CLI::App* add = commands.add(group, "add", "Add a policy group", with(add_group));
  commands.add(group, "list", "List the policy groups", list_groups);
  CLI::App* show = commands.add(group, "show", "Show a group and its rules", with(show_group));
  CLI::App* set = commands.add(group, "set", "Change a group", with(set_group));
  CLI::App* remove = commands.add(group, "remove", "Remove a group", with(remove_group));
  CLI::App* give = commands.add(group, "assign", "Say whose new files it decides", with(assign));
  for (CLI::App* command : {add, show, set, remove, give}) {
    command->add_option("NAME", options->name, "Name or id of the group; assign: 'none' to end it")
        ->required();
  }
  for (CLI::App* command : {add, set}) {
    command->add_option("--description", options->description, "What it is for");
    command->add_flag("--default", options->is_default, "It holds for whoever has none");
  }
  auto* enable = set->add_flag("--enable", options->enable, "Its rules count");
  set->add_flag("--disable", options->disable, "Its rules do not count")->excludes(enable);
  give->add_option("--user", options->user, "Name or id of a user");
  give->add_option("--team", options->team, "Name of a team");
  give->add_option("--workspace", options->workspace, "Id of a workspace");
  CLI::App* rules = group->add_subcommand("rule", "The rules of a group");
  rules->require_subcommand(1);
  CLI::App* put =
      commands.add(rules, "add", "Add or replace the rule for a policy", with(add_rule));
  describe_rule(put, *options);
  put->add_option("--priority", options->priority, "The lowest that fits counts, from 1")
      ->required();
  put->add_option("--min-size", options->min_size, "Files from this size, in bytes or with K, M, G")
      ->transform(CLI::AsSizeValue(false));
  put->add_option("--max-size", options->max_size, "Files below this size; 0 = no limit")
      ->transform(CLI::AsSizeValue(false));
  put->add_flag("--disabled", options->disable, "Keep it, but do not use it");
  CLI::App* drop = commands.add(rules, "drop", "Remove the rule for a policy", with(remove_rule));
  describe_rule(drop, *options);
}

}  // namespace aster::cli
