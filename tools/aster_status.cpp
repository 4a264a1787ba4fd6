#include <boost/json/object.hpp>

#include "tools/aster_command.h"
#include "tools/aster_lookup.h"
#include "tools/aster_mounts.h"
#include "tools/aster_output.h"

/// `aster status`: is the drive well?
namespace aster::cli {
namespace {

namespace json = boost::json;

std::string name_of_default(const json::array& policies) {
  for (const json::value& policy : policies) {
    if (field(policy, "is_default") == "yes") return field(policy, "name");
  }
  return "none (see: aster policy add --help)";
}

std::string describe_nodes(const json::array& nodes) {
  if (nodes.empty()) return "none";
  std::string text;
  for (const json::value& node : nodes) {
    const std::string error = field(node, {"last_error", "last_probe_error"});
    std::string state = "ok";
    if (field(node, "is_enabled") == "no") {
      state = "disabled";
    } else if (field(node, "enrollment_status") != "completed") {
      state = "not enrolled";
    } else if (error != "-") {
      state = error;
    }
    text += (text.empty() ? "" : ", ") + field(node, "name") + " (" + state + ")";
  }
  return text;
}

using Lines = std::vector<std::pair<std::string, std::string>>;

/// What only an administrator may see.
Result<void> add_overview(Api& api, Report& report, Lines& lines) {
  ASTER_TRY(json::array nodes, api.list(kNodesPath, "list nodes"));
  ASTER_TRY(json::array policies, api.list(kPoliciesPath, "list policies"));
  ASTER_TRY(const json::value overview, api.get("/api/v1/admin/overview", "ask for the overview"));
  lines.front().second += " (version " + field(overview, "version") + ")";
  lines.emplace_back("nodes", describe_nodes(nodes));
  lines.emplace_back("default policy", name_of_default(policies));
  if (field(overview, "storage_ready") == "no") {
    report.problem = "new files cannot be stored: " + field(overview, "storage_problem");
  }
  json::object& out = report.json.as_object();
  out["nodes"] = std::move(nodes);
  out["policies"] = std::move(policies);
  out["overview"] = overview;
  return ok();
}

/// What the mounts of this machine have not sent yet; a mount that does not answer says why.
void add_mounts(const std::filesystem::path& table, Report& report, Lines& lines) {
  json::array mounts;
  for (const std::string& place : mounted_drives(table)) {
    const Result<std::string> durable = durability_of(place);
    const std::string state = durable.ok() ? *durable : durable.error().message();
    mounts.push_back({{"mount", place}, {"durable", state}});
    lines.emplace_back(
        "mount", place + " (" + (state == "remote" ? "everything is at the servers" : state) + ")");
  }
  report.json.as_object()["mounts"] = std::move(mounts);
}

Result<Report> status(Session& session) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const json::value me, api.get("/api/v1/auth/me", "ask who is logged in"));
  Report report;
  report.json = {{"server", api.server()}, {"user", me}};
  Lines lines{{"server", api.server()},
              {"user", field(me, "username") + " (" + field(me, "role") + ")"}};
  if (field(me, "role") == "admin") ASTER_TRY(add_overview(api, report, lines));
  add_mounts(session.world().mount_table, report, lines);
  report.text = describe(lines);
  return report;
}

}  // namespace

void add_status_command(Commands& commands) {
  commands.add(&commands.app(), "status", "Show the server, its nodes and who is logged in",
               status);
}

}  // namespace aster::cli
