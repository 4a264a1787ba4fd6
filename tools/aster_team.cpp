#include <boost/json/object.hpp>

#include "tools/aster_command.h"
#include "tools/aster_lookup.h"
#include "tools/aster_output.h"

/// `aster team ...`: teams, their members, their trees' quotas.
namespace aster::cli {
namespace {

namespace json = boost::json;

constexpr std::string_view kAllTeams = "/api/v1/admin/teams";
constexpr std::string_view kMyTeams = "/api/v1/teams";

struct TeamOptions {
  std::string name;
  std::string user;
  std::string role;
  std::string quota;  ///< "none", bytes, or empty
  std::string description;
  std::string owner;
  bool purge = false;
};

/// All teams for administrators, one's own for others; and the path that they are below.
struct Teams {
  json::array items;
  std::string_view path;
};
Result<Teams> teams_of(Api& api) {
  ASTER_TRY(const json::value me, api.get("/api/v1/auth/me", "ask who is logged in"));
  const std::string_view path = field(me, "role") == "admin" ? kAllTeams : kMyTeams;
  ASTER_TRY(json::array items, api.list(path, "list teams"));
  return Teams{std::move(items), path};
}

/// The path of one team.
Result<std::string> path_of(Api& api, const std::string& name) {
  ASTER_TRY(const Teams teams, teams_of(api));
  ASTER_TRY(const json::object team, find_item(teams.items, "team", name, {"id"}));
  return item_path(teams.path, team);
}

void set_quota(json::object& body, const std::string& quota) {
  if (!quota.empty()) body["storage_quota"] = quota == "none" ? 0 : std::stoull(quota);
}

Result<Report> add_team(Session& session, const TeamOptions& options) {
  ASTER_TRY(Api api, session.api());
  json::object body{{"name", options.name}, {"description", options.description}};
  set_quota(body, options.quota);
  if (options.owner.empty()) {
    ASTER_TRY(const json::value me, api.get("/api/v1/auth/me", "ask who is logged in"));
    body["admin_identifier"] = field(me, "username");
  } else {
    body["admin_identifier"] = options.owner;
  }
  ASTER_TRY(json::value team, api.post(kAllTeams, body, "add team '" + options.name + "'"));
  return Report{std::move(team), "team '" + options.name + "' is added\n", {}};
}

Result<Report> list_teams(Session& session) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(Teams teams, teams_of(api));
  Table table({"ID", "NAME", "ROLE", "USED", "QUOTA", "ARCHIVED", "CREATED"});
  for (const json::value& team : teams.items) {
    table.add({field(team, "id"), field(team, "name"), field(team, "role"),
               byte_field(team, "storage_used"), byte_field(team, "storage_quota"),
               field(team, "is_archived"), field(team, "created_at")});
  }
  return Report{std::move(teams.items), table.text(), {}};
}

Result<Report> show_team(Session& session, const TeamOptions& options) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const std::string path, path_of(api, options.name));
  ASTER_TRY(json::value team, api.get(path, "show team '" + options.name + "'"));
  ASTER_TRY(json::array members, api.list(path + "/members", "list members"));
  Report report;
  report.text = describe({{"name", field(team, "name")},
                          {"description", field(team, "description")},
                          {"workspace", field(team, "workspace")},
                          {"used", byte_field(team, "storage_used")},
                          {"quota", byte_field(team, "storage_quota")},
                          {"archived", field(team, "is_archived")}});
  Table table({"USER", "ROLE", "SINCE"});
  for (const json::value& member : members) {
    table.add({field(member, "username"), field(member, "role"), field(member, "added_at")});
  }
  report.text += table.text();
  team.as_object()["members"] = std::move(members);
  report.json = std::move(team);
  return report;
}

Result<Report> set_team(Session& session, const TeamOptions& options) {
  json::object body;
  set_quota(body, options.quota);
  if (!options.description.empty()) body["description"] = options.description;
  if (body.empty()) {
    return fail(Errc::bad_request, "nothing to change: give --quota or --description");
  }
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const std::string path, path_of(api, options.name));
  ASTER_TRY(json::value team, api.patch(path, body, "change team '" + options.name + "'"));
  return Report{std::move(team), "team '" + options.name + "' is changed\n", {}};
}

Result<Report> remove_team(Session& session, const TeamOptions& options) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const std::string path, path_of(api, options.name));
  ASTER_TRY(json::value team, api.remove(path, "remove team '" + options.name + "'"));
  if (options.purge) {
    ASTER_TRY(json::value purge,
              api.post(path + "/purge", {}, "purge team '" + options.name + "'"));
    const std::string left = field(purge, "inodes_left");
    return Report{std::move(purge),
                  "team '" + options.name + "' is gone; its " + left +
                      " files and folders are being removed ('aster team purges')\n",
                  {}};
  }
  return Report{std::move(team),
                "team '" + options.name +
                    "' is archived: nobody enters it any more, its files are kept ('aster team "
                    "restore' brings it back)\n",
                {}};
}

Result<Report> list_purges(Session& session) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(json::array purges, api.list("/api/v1/admin/team-purges", "list purges"));
  Table table({"TEAM", "FILES LEFT", "BYTES LEFT", "SINCE"});
  for (const json::value& purge : purges) {
    table.add({field(purge, "name"), field(purge, "inodes_left"), byte_field(purge, "bytes_left"),
               field(purge, "started_at")});
  }
  return Report{std::move(purges), table.text(), {}};
}

Result<Report> restore_team(Session& session, const TeamOptions& options) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const std::string path, path_of(api, options.name));
  ASTER_TRY(json::value team,
            api.post(path + "/restore", {}, "restore team '" + options.name + "'"));
  return Report{std::move(team), "team '" + options.name + "' is restored\n", {}};
}

Result<Report> add_member(Session& session, const TeamOptions& options) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const std::string path, path_of(api, options.name));
  const json::object body{{"identifier", options.user},
                          {"role", options.role.empty() ? "member" : options.role}};
  ASTER_TRY(json::value member,
            api.post(path + "/members", body,
                     "add '" + options.user + "' to team '" + options.name + "'"));
  const std::string role = field(member, "role");
  return Report{std::move(member),
                "'" + options.user + "' is in team '" + options.name + "' as " + role + "\n",
                {}};
}

/// The path of one member.
Result<std::string> member_path(Api& api, const TeamOptions& options) {
  ASTER_TRY(const std::string path, path_of(api, options.name));
  ASTER_TRY(json::array members, api.list(path + "/members", "list members"));
  for (json::value& member : members) member.as_object()["id"] = member.at("user_id");
  ASTER_TRY(const json::object member, find_item(members, "member", options.user, {"id"}));
  return item_path(path + "/members", member);
}

Result<Report> remove_member(Session& session, const TeamOptions& options) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const std::string path, member_path(api, options));
  ASTER_TRY(json::value done,
            api.remove(path, "remove '" + options.user + "' from team '" + options.name + "'"));
  return Report{
      std::move(done), "'" + options.user + "' is out of team '" + options.name + "'\n", {}};
}

Result<Report> set_role(Session& session, const TeamOptions& options) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const std::string path, member_path(api, options));
  ASTER_TRY(json::value member,
            api.patch(path, {{"role", options.role}}, "change the role of '" + options.user + "'"));
  return Report{std::move(member),
                "'" + options.user + "' is " + options.role + " of team '" + options.name + "'\n",
                {}};
}

void add_quota_option(CLI::App* command, TeamOptions& options) {
  const CLI::AsSizeValue as_size(false);
  command->add_option("--quota", options.quota, "Bytes its files may cover, e.g. 10G; or 'none'")
      ->transform([as_size](std::string text) {
        if (text == "none") return text;
        const std::string problem = as_size(text);
        if (!problem.empty()) throw CLI::ValidationError("--quota", problem);
        return text;
      });
}

using Method = Result<Report> (*)(Session&, const TeamOptions&);

void add_member_commands(Commands& commands, CLI::App* group,
                         const std::shared_ptr<TeamOptions>& options) {
  CLI::App* members = group->add_subcommand("member", "Who is in a team");
  members->require_subcommand(1);
  const auto add = [&](const char* name, const char* what, Method method) {
    CLI::App* command = commands.add(members, name, what,
                                     [options, method](Session& s) { return method(s, *options); });
    command->add_option("TEAM", options->name, "Name or id of the team")->required();
    command->add_option("USER", options->user, "Name of the user")->required();
    return command;
  };
  const CLI::IsMember is_role({"reader", "member", "manager", "admin", "owner"});
  add("add", "Let a user in", add_member)
      ->add_option("--role", options->role, "reader, member (default), manager or owner")
      ->check(is_role);
  add("remove", "Put a user out, at once", remove_member);
  add("set-role", "Change what a user may do", set_role)
      ->add_option("ROLE", options->role, "reader, member, manager or owner")
      ->required()
      ->check(is_role);
}

}  // namespace

void add_team_commands(Commands& commands) {
  auto options = std::make_shared<TeamOptions>();
  CLI::App* group = commands.group("team", "Teams: trees that several users share");
  const auto command = [&](const char* name, const char* what, Method method) {
    CLI::App* made = commands.add(group, name, what,
                                  [options, method](Session& s) { return method(s, *options); });
    made->add_option("TEAM", options->name, "Name or id of the team")->required();
    return made;
  };
  CLI::App* add = command("add", "Make a team (administrators)", add_team);
  add->add_option("--owner", options->owner, "Its first owner (default: you)");
  add->add_option("--description", options->description, "For people");
  add_quota_option(add, *options);
  commands.add(group, "list", "List your teams; all, for administrators", list_teams);
  command("show", "Show a team and who is in it", show_team);
  CLI::App* set = command("set", "Change a team (administrators)", set_team);
  set->add_option("--description", options->description, "For people");
  add_quota_option(set, *options);
  CLI::App* remove =
      command("remove", "Archive a team; its files are kept (administrators)", remove_team);
  remove->add_flag("--purge", options->purge, "Remove it and all its files for ever");
  commands.add(group, "purges", "List the teams whose files are still being removed", list_purges);
  command("restore", "Bring an archived team back (administrators)", restore_team);
  add_member_commands(commands, group, options);
}

}  // namespace aster::cli
