#include <boost/json/object.hpp>

#include "tools/aster_abilities.h"
#include "tools/aster_command.h"
#include "tools/aster_lookup.h"
#include "tools/aster_output.h"

/// `aster node ...`: the followers that the primary knows.
namespace aster::cli {
namespace {

namespace json = boost::json;

struct NodeOptions {
  std::string name;
  std::string storage_namespace;
  std::string base_url;
};

std::string quoted(const std::string& name) {
  return "node '" + name + "'";
}

std::string last_error(const json::value& node) {
  return field(node, {"last_error", "last_probe_error"});
}

std::string describe_node(const json::value& node) {
  std::vector<std::pair<std::string, std::string>> lines{
      {"name", field(node, "name")},
      {"id", field(node, "id")},
      {"namespace", field(node, {"namespace", "storage_namespace"})},
      {"base URL", field(node, "base_url")},
      {"enabled", field(node, "is_enabled")},
      {"enrolment", field(node, "enrollment_status")},
      {"transport", field(node, "transport_mode")},
      {"last checked", field(node, {"last_checked_at", "last_probe_at"})},
      {"last error", last_error(node)},
      {"created", field(node, "created_at")}};
  for (auto& line : describe_abilities(node)) lines.push_back(std::move(line));
  return describe(lines);
}

Result<Report> add_node(Session& session, const NodeOptions& options) {
  ASTER_TRY(Api api, session.api());
  const json::object body{{"name", options.name},
                          {"namespace", options.storage_namespace},
                          {"base_url", options.base_url},
                          {"is_enabled", true}};
  ASTER_TRY(json::value node, api.post(kNodesPath, body, "add " + quoted(options.name)));
  Report report;
  report.text = quoted(options.name) + " is added; what to run on it: aster node enroll-command " +
                options.name + "\n";
  report.json = std::move(node);
  return report;
}

Result<Report> list_nodes(Session& session) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(json::array nodes, api.list(kNodesPath, "list nodes"));
  Table table({"ID", "NAME", "NAMESPACE", "ENABLED", "ENROLMENT", "BASE URL", "LAST ERROR"});
  for (const json::value& node : nodes) {
    table.add({field(node, "id"), field(node, "name"),
               field(node, {"namespace", "storage_namespace"}), field(node, "is_enabled"),
               field(node, "enrollment_status"), field(node, "base_url"), last_error(node)});
  }
  return Report{std::move(nodes), table.text(), {}};
}

Result<Report> show_node(Session& session, const NodeOptions& options) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const json::object found, find_node(api, options.name));
  ASTER_TRY(json::value node,
            api.get(item_path(kNodesPath, found), "show " + quoted(options.name)));
  std::string text = describe_node(node);
  return Report{std::move(node), std::move(text), {}};
}

Result<Report> enroll_command(Session& session, const NodeOptions& options) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const json::object found, find_node(api, options.name));
  ASTER_TRY(json::value issued, api.post(item_path(kNodesPath, found) + "/enrollment-token", {},
                                         "make an enrolment token for " + quoted(options.name)));
  std::string text = field(issued, "command") + "\n";
  return Report{std::move(issued), std::move(text), {}};
}

Result<Report> test_node(Session& session, const NodeOptions& options) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const json::object found, find_node(api, options.name));
  ASTER_TRY(json::value node,
            api.post(item_path(kNodesPath, found) + "/test", {}, "test " + quoted(options.name)));
  Report report;
  if (last_error(node) == "-") {
    report.text = quoted(options.name) + " answers\n";
  } else {
    report.problem = quoted(options.name) + " failed the test: " + last_error(node);
  }
  report.json = std::move(node);
  return report;
}

Result<Report> enable_node(Session& session, const NodeOptions& options, bool enabled) {
  const std::string verb = enabled ? "enable" : "disable";
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const json::object found, find_node(api, options.name));
  ASTER_TRY(json::value node, api.patch(item_path(kNodesPath, found), {{"is_enabled", enabled}},
                                        verb + " " + quoted(options.name)));
  return Report{std::move(node), quoted(options.name) + " is " + verb + "d\n", {}};
}

Result<Report> move_node(Session& session, const NodeOptions& options) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const json::object found, find_node(api, options.name));
  ASTER_TRY(json::value node,
            api.patch(item_path(kNodesPath, found), {{"base_url", options.base_url}},
                      "change " + quoted(options.name)));
  std::string text = quoted(options.name) + " is at " + field(node, "base_url") + "\n";
  return Report{std::move(node), std::move(text), {}};
}

Result<Report> remove_node(Session& session, const NodeOptions& options) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const json::object found, find_node(api, options.name));
  ASTER_TRY(api.remove(item_path(kNodesPath, found), "remove " + quoted(options.name)));
  return Report{found, quoted(options.name) + " is removed; its data stays on the follower\n", {}};
}

}  // namespace

void add_node_commands(Commands& commands) {
  auto options = std::make_shared<NodeOptions>();
  CLI::App* group = commands.group("node", "Followers: the machines that hold the bytes");
  CLI::App* add = commands.add(group, "add", "Add a node, to be enrolled next",
                               [options](Session& s) { return add_node(s, *options); });
  add->add_option("NAME", options->name, "Name of the node")->required();
  add->add_option("--namespace", options->storage_namespace,
                  "Folder of this drive on the node: a-z 0-9 . _ -, at most 64, unique")
      ->required();
  add->add_option("--base-url", options->base_url,
                  "Where the primary and the clients reach the node");
  CLI::App* set = commands.add(group, "set", "Change where a node is reached",
                               [options](Session& s) { return move_node(s, *options); });
  set->add_option("NAME", options->name, "Name or id of the node")->required();
  set->add_option("--base-url", options->base_url,
                  "Where the primary and the clients reach the node")
      ->required();
  commands.add(group, "list", "List the nodes", list_nodes);

  struct Named {
    const char* name;
    const char* description;
    Commands::Action action;
  };
  const Named named[] = {
      {"show", "Show one node", [options](Session& s) { return show_node(s, *options); }},
      {"enroll-command", "Print the command that enrols a node; it works once, for 30 minutes",
       [options](Session& s) { return enroll_command(s, *options); }},
      {"test", "Call the node now and show what it says",
       [options](Session& s) { return test_node(s, *options); }},
      {"enable", "Use the node (again)",
       [options](Session& s) { return enable_node(s, *options, true); }},
      {"disable", "Stop using the node",
       [options](Session& s) { return enable_node(s, *options, false); }},
      {"remove", "Forget a node that no policy names",
       [options](Session& s) { return remove_node(s, *options); }},
  };
  for (const Named& one : named) {
    CLI::App* command = commands.add(group, one.name, one.description, one.action);
    command->add_option("NAME", options->name, "Name or id of the node")->required();
  }
}

}  // namespace aster::cli
