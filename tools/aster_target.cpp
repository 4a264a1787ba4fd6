#include <boost/json/object.hpp>

#include "tools/aster_bucket.h"
#include "tools/aster_command.h"
#include "tools/aster_lookup.h"
#include "tools/aster_output.h"

/// `aster target ...`: the places on a follower where bytes land.
namespace aster::cli {
namespace {

namespace json = boost::json;

struct TargetOptions {
  std::string node;
  std::string target;  ///< name or key
  std::string driver = "local";
  std::string name;
  std::string base_path = ".";
  BucketOptions bucket;
  uint64_t max_file_size = 0;
  bool is_default = false;
};

std::string quoted(const std::string& name) {
  return "target '" + name + "'";
}

std::string targets_path(const json::object& node) {
  return item_path(kNodesPath, node) + "/storage-targets";
}

std::string key_of(const json::value& target) {
  return field(target, {"target_key", "profile_key"});
}

/// The follower answers 2xx for a target that it could not set up; the reason is in the target.
std::string problem_of(const json::value& target) {
  const std::string error = field(target, "last_error");
  return error == "-" ? "" : quoted(field(target, "name")) + " cannot be used: " + error;
}

Result<json::object> request_body(const Session& session, const TargetOptions& options) {
  json::object body{{"driver_type", options.driver},
                    {"name", options.name.empty() ? options.driver : options.name},
                    {"base_path", options.base_path},
                    {"max_file_size", options.max_file_size},
                    {"is_default", options.is_default}};
  if (options.driver != "s3") return body;
  ASTER_TRY(add_bucket_fields(session, options.bucket, "an s3 target", body));
  return body;
}

Result<Report> add_target(Session& session, const TargetOptions& options) {
  ASTER_TRY(const json::object body, request_body(session, options));
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const json::object node, find_node(api, options.node));
  ASTER_TRY(json::value target,
            api.post(targets_path(node), body, "add a target to node '" + options.node + "'"));
  Report report;
  report.problem = problem_of(target);
  if (report.problem.empty()) {
    report.text = quoted(field(target, "name")) + " (" + key_of(target) + ") is added to node '" +
                  options.node + "'\n";
  }
  report.json = std::move(target);
  return report;
}

Result<Report> list_targets(Session& session, const TargetOptions& options) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const json::object node, find_node(api, options.node));
  ASTER_TRY(json::array targets,
            api.list(targets_path(node), "list the targets of node '" + options.node + "'"));
  Table table({"KEY", "NAME", "DRIVER", "DEFAULT", "BASE PATH", "LAST ERROR"});
  for (const json::value& target : targets) {
    table.add({key_of(target), field(target, "name"), field(target, "driver_type"),
               field(target, "is_default"), field(target, "base_path"),
               field(target, "last_error")});
  }
  return Report{std::move(targets), table.text(), {}};
}

struct Located {
  Api api;
  std::string path;
};

Result<Located> locate(Session& session, const TargetOptions& options) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const json::object node, find_node(api, options.node));
  ASTER_TRY(const json::array targets,
            api.list(targets_path(node), "list the targets of node '" + options.node + "'"));
  ASTER_TRY(const json::object target,
            find_item(targets, "target", options.target, {"target_key", "profile_key"}));
  return Located{std::move(api), targets_path(node) + "/" + key_of(target)};
}

Result<Report> set_default_target(Session& session, const TargetOptions& options) {
  ASTER_TRY(Located at, locate(session, options));
  ASTER_TRY(json::value target, at.api.patch(at.path, {{"is_default", true}},
                                             "make " + quoted(options.target) + " the default"));
  Report report;
  report.problem = problem_of(target);
  report.text = quoted(options.target) + " is the default of node '" + options.node + "'\n";
  report.json = std::move(target);
  return report;
}

Result<Report> set_credentials(Session& session, const TargetOptions& options) {
  json::object keys;
  ASTER_TRY(add_credentials(session, options.bucket, keys));
  ASTER_TRY(Located at, locate(session, options));
  ASTER_TRY(json::value target,
            at.api.patch(at.path, keys, "set the credentials of " + quoted(options.target)));
  Report report;
  report.problem = problem_of(target);
  report.text = quoted(options.target) + " uses the new credentials\n";
  report.json = std::move(target);
  return report;
}

Result<Report> remove_target(Session& session, const TargetOptions& options) {
  ASTER_TRY(Located at, locate(session, options));
  ASTER_TRY(at.api.remove(at.path, "remove " + quoted(options.target)));
  return Report{{{"removed", options.target}}, quoted(options.target) + " is removed\n", {}};
}

void describe_new_target(CLI::App* add, TargetOptions& options) {
  add->add_option("--driver", options.driver, "Kind of storage: local or s3")
      ->check(CLI::IsMember({"local", "s3"}));
  add->add_option("--name", options.name, "Name of the target (default: its driver)");
  add->add_option("--base-path", options.base_path,
                  "Folder below the node's storage root, or prefix in the bucket (default: .)");
  describe_bucket(add, options.bucket);
  add->add_option("--max-file-size", options.max_file_size,
                  "Largest object in bytes, or with K, M, G, T; 0 = no limit")
      ->transform(CLI::AsSizeValue(false));
  add->add_flag("--default", options.is_default, "Make it the node's default target");
}

}  // namespace

void add_target_commands(Commands& commands) {
  auto options = std::make_shared<TargetOptions>();
  CLI::App* group = commands.group("target", "Where on a node the bytes land");
  CLI::App* add = commands.add(group, "add", "Add a target to a node",
                               [options](Session& s) { return add_target(s, *options); });
  CLI::App* list = commands.add(group, "list", "List the targets of a node",
                                [options](Session& s) { return list_targets(s, *options); });
  CLI::App* set = commands.add(group, "set-default", "Make a target the node's default",
                               [options](Session& s) { return set_default_target(s, *options); });
  CLI::App* keys = commands.add(group, "set-credentials", "Give an s3 target new credentials",
                                [options](Session& s) { return set_credentials(s, *options); });
  CLI::App* remove = commands.add(group, "remove", "Remove a target; stored objects stay",
                                  [options](Session& s) { return remove_target(s, *options); });
  for (CLI::App* command : {add, list, set, keys, remove}) {
    command->add_option("NODE", options->node, "Name or id of the node")->required();
  }
  for (CLI::App* command : {set, keys, remove}) {
    command->add_option("TARGET", options->target, "Name or key of the target")->required();
  }
  describe_new_target(add, *options);
  describe_credentials(keys, options->bucket);
}

}  // namespace aster::cli
