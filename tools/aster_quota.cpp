#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "tools/aster_batch.h"
#include "tools/aster_lookup.h"
#include "tools/aster_output.h"

/// `aster quota ...`: how many bytes a folder and everything below it may cover.
namespace aster::cli {
namespace {

namespace json = boost::json;

constexpr std::string_view kQuotasPath = "/api/v1/admin/tree-quotas";

struct QuotaOptions {
  std::string path;
  std::string user;
  std::string team;
  uint64_t bytes = 0;
};

/// Whose PATH it is, for a request; and where it is in that tree.
struct Place {
  json::object whose;
  std::string path;
};
Result<Place> place_of(Session& session, Api& api, const QuotaOptions& options) {
  Place place;
  place.path = drive_path(session.world(), options.path);
  enter_tree(api, session.world(), options.team, options.path);
  if (!api.team().empty()) place.whose["workspace"] = "team:" + api.team();
  if (!options.user.empty()) {
    ASTER_TRY(const json::array users, api.list(kUsersPath, "list users"));
    ASTER_TRY(const json::object user, find_item(users, "user", options.user, {"id"}));
    place.whose = {{"user_id", user.at("id")}};
  }
  return place;
}

std::string line_of(const json::value& quota) {
  return printable(field(quota, "path")) + ": " + byte_field(quota, "used") + " of " +
         byte_field(quota, "quota") + " used, " + field(quota, "state") + "\n";
}

Result<Report> set_quota(Session& session, const QuotaOptions& options) {
  if (options.bytes == 0) return fail(Errc::bad_request, "0 is no quota; see 'aster quota remove'");
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(Place place, place_of(session, api, options));
  json::object body = std::move(place.whose);
  body["path"] = place.path;
  body["quota"] = options.bytes;
  ASTER_TRY(json::value quota, api.post(kQuotasPath, body, "set the quota of " + place.path));
  Report report;
  report.text = line_of(quota);
  if (field(quota, "state") == "counting") {
    report.text += "what is there is still being counted: see 'aster quota list'\n";
  }
  report.json = std::move(quota);
  return report;
}

Result<Report> list_quotas(Session& session) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(json::array quotas, api.list(kQuotasPath, "list quotas"));
  Table table({"ID", "WORKSPACE", "USED", "QUOTA", "STATE", "COUNTED", "PATH"});
  for (const json::value& quota : quotas) {
    table.add({field(quota, "id"), field(quota, "workspace_id"), byte_field(quota, "used"),
               byte_field(quota, "quota"), field(quota, "state"), field(quota, "counted"),
               printable(field(quota, "path"))});
  }
  return Report{std::move(quotas), table.text(), {}};
}

/// Asks as mounts do: everybody may who may look at the folder.
Result<Report> show_quota(Session& session, const QuotaOptions& options) {
  ASTER_TRY(Api api, session.api());
  enter_tree(api, session.world(), options.team, options.path);
  const std::string path = drive_path(session.world(), options.path);
  const std::string doing = "show the quota of " + path;
  ASTER_TRY(const Located at, locate(api, path, doing));
  const auto table = run_one<fs::XattrValue>(api, fs::GetXattr{at.ino, "user.aster.quota"}, doing);
  if (table.failed_with(Errc::no_attribute)) {
    return Report{json::array(), printable(path) + ": no folder on the way has a quota\n", {}};
  }
  if (!table.ok()) return table.error();
  Report report;
  json::array quotas;
  // A heading, then a line each: quota, used, state, folder.
  std::string_view rest = table->value;
  for (bool heading = true; !rest.empty(); heading = false) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (heading) continue;
    std::vector<std::string> cells;
    while (cells.size() < 3) {
      const size_t tab = line.find('\t');
      if (tab == std::string_view::npos) return fail(Errc::corrupt, doing);
      cells.emplace_back(line.substr(0, tab));
      line.remove_prefix(tab + 1);
    }
    json::object quota{{"path", line},
                       {"quota", std::stoull(cells[0])},
                       {"used", std::stoull(cells[1])},
                       {"state", cells[2]}};
    report.text += line_of(quota);
    quotas.push_back(std::move(quota));
  }
  report.json = std::move(quotas);
  return report;
}

Result<Report> remove_quota(Session& session, const QuotaOptions& options) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(Place place, place_of(session, api, options));
  json::object body = std::move(place.whose);
  body["path"] = place.path;
  ASTER_TRY(json::value quota, api.post(std::string(kQuotasPath) + "/remove", body,
                                        "remove the quota of " + place.path));
  return Report{std::move(quota), printable(place.path) + " has no quota any more\n", {}};
}

}  // namespace

void add_quota_commands(Commands& commands) {
  auto options = std::make_shared<QuotaOptions>();
  const auto with = [options](Result<Report> (*run)(Session&, const QuotaOptions&)) {
    return [options, run](Session& session) { return run(session, *options); };
  };
  CLI::App* group = commands.group("quota", "How much folders may hold, with all below them");
  CLI::App* set = commands.add(group, "set", "Give a folder a quota, or another", with(set_quota));
  CLI::App* show = commands.add(group, "show", "What holds for a path", with(show_quota));
  CLI::App* remove = commands.add(group, "remove", "End a folder's quota", with(remove_quota));
  commands.add(group, "list", "List the quotas of folders in all trees", list_quotas);
  for (CLI::App* command : {set, show, remove}) {
    command->add_option("PATH", options->path, "A folder of the drive")->required();
    auto* team = command->add_option("--team", options->team, "PATH is in the tree of this team");
    if (command != show) {
      command->add_option("--user", options->user, "Whose PATH it is, if not yours")
          ->excludes(team);
    }
  }
  set->add_option("BYTES", options->bytes, "In bytes, or with K, M, G, T")
      ->required()
      ->transform(CLI::AsSizeValue(false));
}

}  // namespace aster::cli
