#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <iostream>
#include <thread>

#include "protocol/base/progress_line.h"
#include "tools/aster_batch.h"
#include "tools/aster_lookup.h"
#include "tools/aster_output.h"

/// `aster policy migrate`, `aster policy migrations`: stored data goes to another policy.
namespace aster::cli {
namespace {

namespace json = boost::json;

constexpr std::string_view kJobsPath = "/api/v1/admin/storage-migrations";
constexpr std::chrono::milliseconds kLook{500};

struct MigrateOptions {
  std::string path;
  std::string to;
  std::string user;
  std::string team;
  uint64_t rate = 0;
  bool wait = false;
  uint64_t cancel = 0;
  uint64_t resume = 0;
};

std::string progress_of(const json::value& job) {
  const auto number = [&](const char* name) { return job.at(name).to_number<uint64_t>(); };
  const uint64_t bytes = number("bytes");
  const uint64_t done = std::min(bytes, number("bytes_done"));
  std::string percent = bytes == 0 ? "100" : std::to_string(done * 100 / bytes);
  return percent + " % of " + byte_field(job, "bytes") + ", " + field(job, "files_done") + " of " +
         field(job, "files") + " files";
}

Report report_of(json::value job) {
  const std::string state = field(job, "state");
  Report report;
  report.text = "migration " + field(job, "id") + " of " + field(job, "path") + " to policy '" +
                field(job, "policy") + "': " + state + ", " + progress_of(job) + "\n";
  const std::string problem = field(job, "problem");
  if (state == "failed") report.problem = problem;
  if (state != "failed" && problem != "-") report.text += "last problem: " + problem + "\n";
  report.json = std::move(job);
  return report;
}

bool ended(const json::value& job) {
  const std::string state = field(job, "state");
  return state == "done" || state == "failed" || state == "cancelled";
}

/// Until the job has ended; a terminal shows how far it is.
Result<json::value> wait_for(World& world, Api& api, json::value job) {
  ProgressLine line(world.terminal);
  const std::string path = item_path(kJobsPath, job.as_object());
  while (!ended(job)) {
    line.follow([text = field(job, "state") + ": " + progress_of(job)] { return text; });
    std::this_thread::sleep_for(kLook);
    ASTER_TRY(job, api.get(path, "look at the migration"));
  }
  return job;
}

Result<Report> migrate(Session& session, const MigrateOptions& options) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const json::object policy, find_policy(api, options.to));
  json::object body{{"path", drive_path(session.world(), options.path)},
                    {"policy_id", policy.at("id")},
                    {"rate", options.rate}};
  enter_tree(api, session.world(), options.user.empty() ? options.team : "", options.path);
  if (!api.team().empty()) body["workspace"] = "team:" + api.team();
  if (!options.user.empty()) {
    body.erase("workspace");
    ASTER_TRY(const json::array users, api.list(kUsersPath, "list users"));
    ASTER_TRY(const json::object user, find_item(users, "user", options.user, {"id"}));
    body["user_id"] = user.at("id");
  }
  ASTER_TRY(json::value job, api.post(kJobsPath, body, "migrate " + options.path));
  if (options.wait) {
    ASTER_TRY(job, wait_for(session.world(), api, std::move(job)));
  }
  return report_of(std::move(job));
}

Result<Report> list_jobs(Session& session, const MigrateOptions& options) {
  ASTER_TRY(Api api, session.api());
  if (options.cancel != 0 || options.resume != 0) {
    const bool resume = options.resume != 0;
    const uint64_t id = resume ? options.resume : options.cancel;
    const std::string doing = (resume ? "resume migration " : "cancel migration ");
    ASTER_TRY(json::value job, api.post(std::string(kJobsPath) + "/" + std::to_string(id) +
                                            (resume ? "/resume" : "/cancel"),
                                        {}, doing + std::to_string(id)));
    return report_of(std::move(job));
  }
  ASTER_TRY(json::array jobs, api.list(kJobsPath, "list migrations"));
  Table table({"ID", "STATE", "POLICY", "PROGRESS", "PATH", "PROBLEM"});
  for (const json::value& job : jobs) {
    table.add({field(job, "id"), field(job, "state"), field(job, "policy"), progress_of(job),
               field(job, "path"), field(job, "problem")});
  }
  return Report{std::move(jobs), table.text(), {}};
}

}  // namespace

void add_migrate_commands(Commands& commands, CLI::App* policy_group) {
  auto options = std::make_shared<MigrateOptions>();
  CLI::App* move = commands.add(policy_group, "migrate", "Move what is stored to another policy",
                                [options](Session& s) { return migrate(s, *options); });
  move->add_option("PATH", options->path, "A file, or a folder with all below it")->required();
  move->add_option("--to", options->to, "Name or id of the policy")->required();
  auto* user = move->add_option("--user", options->user, "Whose PATH it is, if not yours");
  move->add_option("--team", options->team, "PATH is in the tree of this team")->excludes(user);
  move->add_option("--rate", options->rate, "Bytes per second at most, or with K, M, G")
      ->transform(CLI::AsSizeValue(false));
  move->add_flag("--wait", options->wait, "Show the progress until it is done");
  CLI::App* list = commands.add(policy_group, "migrations", "List the migrations, the latest first",
                                [options](Session& s) { return list_jobs(s, *options); });
  auto* cancel = list->add_option("--cancel", options->cancel, "End this one; what is moved stays");
  list->add_option("--resume", options->resume,
                   "Go on with this one, which failed or was cancelled")
      ->excludes(cancel);
}

}  // namespace aster::cli
