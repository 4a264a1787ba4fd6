#include <boost/json/object.hpp>

#include "tools/aster_bucket.h"
#include "tools/aster_command.h"
#include "tools/aster_lookup.h"
#include "tools/aster_output.h"

/// `aster policy ...`: where the bytes of new files go and how they travel.
namespace aster::cli {
namespace {

namespace json = boost::json;

struct PolicyOptions {
  std::string name;
  std::string driver;
  std::string node;
  std::string target;
  std::string strategy = "relay_stream";
  BucketOptions bucket;
  std::string base_path;
  uint64_t part_size = 0;
  uint64_t max_file_size = 0;
  bool is_default = false;
};

std::string quoted(const std::string& name) {
  return "policy '" + name + "'";
}

std::string strategy_of(const json::value& policy) {
  const json::value* options =
      policy.is_object() ? policy.get_object().if_contains("options") : nullptr;
  return options ? field(*options, "remote_upload_strategy") : "-";
}

/// Options of another driver are a mistake that the server would not see.
Result<void> check_driver_options(const PolicyOptions& options) {
  const BucketOptions& bucket = options.bucket;
  const bool names_bucket = !bucket.endpoint.empty() || !bucket.bucket.empty() ||
                            !bucket.region.empty() || !bucket.addressing.empty() ||
                            !bucket.credentials_file.empty();
  if (options.driver != "s3" && names_bucket) {
    return fail(Errc::bad_request, "a bucket and its keys go with --driver s3");
  }
  if (options.driver == "s3" && (!options.node.empty() || !options.target.empty())) {
    return fail(Errc::bad_request,
                "an s3 policy has no node; for a bucket of a node see: aster "
                "target add --help");
  }
  if (options.driver == "s3" && options.strategy != "relay_stream") {
    return fail(Errc::bad_request,
                "the bytes of an s3 policy travel through the server (relay_stream); for presigned "
                "uploads and downloads give a node an s3 target and add a remote policy");
  }
  return ok();
}

Result<void> add_remote_fields(Api& api, const PolicyOptions& options, json::object& body) {
  if (options.node.empty()) {
    return fail(Errc::bad_request, "a remote policy needs --node (see: aster node list)");
  }
  ASTER_TRY(const json::object node, find_node(api, options.node));
  body["remote_node_id"] = node.at("id");
  if (!options.target.empty()) {
    ASTER_TRY(const json::array targets,
              api.list(item_path(kNodesPath, node) + "/storage-targets",
                       "list the targets of node '" + options.node + "'"));
    ASTER_TRY(const json::object target,
              find_item(targets, "target", options.target, {"target_key", "profile_key"}));
    body["remote_storage_target_key"] = field(target, {"target_key", "profile_key"});
  }
  body["options"] = {{"remote_upload_strategy", options.strategy},
                     {"remote_download_strategy", options.strategy}};
  return ok();
}

Result<Report> add_policy(Session& session, const PolicyOptions& options) {
  ASTER_TRY(check_driver_options(options));
  ASTER_TRY(Api api, session.api());
  json::object body{{"name", options.name},
                    {"driver_type", options.driver},
                    {"base_path", options.base_path},
                    {"max_file_size", options.max_file_size},
                    {"is_default", options.is_default}};
  if (options.part_size != 0) body["chunk_size"] = options.part_size;
  if (options.driver == "remote") ASTER_TRY(add_remote_fields(api, options, body));
  if (options.driver == "s3") {
    ASTER_TRY(add_bucket_fields(session, options.bucket, "an s3 policy", body));
  }
  ASTER_TRY(json::value policy, api.post(kPoliciesPath, body, "add " + quoted(options.name)));
  Report report;
  report.text = quoted(options.name) + " is added" +
                (field(policy, "is_default") == "yes" ? " and is the default\n" : "\n");
  report.json = std::move(policy);
  return report;
}

Result<Report> list_policies(Session& session) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(json::array policies, api.list(kPoliciesPath, "list policies"));
  Table table({"ID", "NAME", "DRIVER", "NODE", "STRATEGY", "PART SIZE", "MAX FILE", "DEFAULT"});
  for (const json::value& policy : policies) {
    table.add({field(policy, "id"), field(policy, "name"), field(policy, "driver_type"),
               field(policy, "remote_node_id"), strategy_of(policy),
               byte_field(policy, "chunk_size"), byte_field(policy, "max_file_size"),
               field(policy, "is_default")});
  }
  return Report{std::move(policies), table.text(), {}};
}

Result<Report> show_policy(Session& session, const PolicyOptions& options) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const json::object found, find_policy(api, options.name));
  const std::string doing = "show " + quoted(options.name);
  ASTER_TRY(json::value policy, api.get(item_path(kPoliciesPath, found), doing));
  std::string text = describe({{"name", field(policy, "name")},
                               {"id", field(policy, "id")},
                               {"driver", field(policy, "driver_type")},
                               {"node id", field(policy, "remote_node_id")},
                               {"target", field(policy, "remote_storage_target_key")},
                               {"endpoint", field(policy, "endpoint")},
                               {"bucket", field(policy, "bucket")},
                               {"base path", field(policy, "base_path")},
                               {"strategy", strategy_of(policy)},
                               {"part size", byte_field(policy, "chunk_size")},
                               {"max file size", byte_field(policy, "max_file_size")},
                               {"default", field(policy, "is_default")},
                               {"created", field(policy, "created_at")}});
  return Report{std::move(policy), std::move(text), {}};
}

Result<Report> set_default_policy(Session& session, const PolicyOptions& options) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const json::object found, find_policy(api, options.name));
  ASTER_TRY(json::value policy, api.patch(item_path(kPoliciesPath, found), {{"is_default", true}},
                                          "make " + quoted(options.name) + " the default"));
  std::string text = quoted(field(policy, "name")) + " is the default for new files\n";
  return Report{std::move(policy), std::move(text), {}};
}

Result<Report> set_policy_credentials(Session& session, const PolicyOptions& options) {
  json::object keys;
  ASTER_TRY(add_credentials(session, options.bucket, keys));
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const json::object found, find_policy(api, options.name));
  ASTER_TRY(json::value policy, api.patch(item_path(kPoliciesPath, found), keys,
                                          "set the credentials of " + quoted(options.name)));
  return Report{std::move(policy), quoted(options.name) + " uses the new credentials\n", {}};
}

Result<Report> remove_policy(Session& session, const PolicyOptions& options) {
  ASTER_TRY(Api api, session.api());
  ASTER_TRY(const json::object found, find_policy(api, options.name));
  ASTER_TRY(api.remove(item_path(kPoliciesPath, found), "remove " + quoted(options.name)));
  return Report{found, quoted(options.name) + " is removed\n", {}};
}

void describe_new_policy(CLI::App* add, PolicyOptions& options) {
  add->add_option("NAME", options.name, "Name of the policy")->required();
  add->add_option("--driver", options.driver,
                  "local: on the primary's disk; s3: in a bucket, by the primary; remote: on a "
                  "node")
      ->required()
      ->check(CLI::IsMember({"local", "s3", "remote"}));
  add->add_option("--node", options.node, "remote: name or id of the node");
  add->add_option("--target", options.target,
                  "remote: name or key of a target (default: the node's default)");
  add->add_option("--strategy", options.strategy,
                  "remote: presigned (clients talk to the node) or relay_stream (through the "
                  "primary; default)")
      ->check(CLI::IsMember({"presigned", "relay_stream"}));
  describe_bucket(add, options.bucket);
  add->add_option("--base-path", options.base_path, "Folder or prefix below the storage's root");
  add->add_option("--part-size", options.part_size,
                  "Bytes of one part of a large file, or with K, M, G")
      ->transform(CLI::AsSizeValue(false));
  add->add_option("--max-file-size", options.max_file_size,
                  "Largest file in bytes, or with K, M, G, T; 0 = no limit")
      ->transform(CLI::AsSizeValue(false));
  add->add_flag("--default", options.is_default, "Use it for new files from now on");
}

}  // namespace

void add_policy_commands(Commands& commands) {
  auto options = std::make_shared<PolicyOptions>();
  CLI::App* group = commands.group("policy", "Where new files go and how their bytes travel");
  CLI::App* add = commands.add(group, "add", "Add a storage policy",
                               [options](Session& s) { return add_policy(s, *options); });
  describe_new_policy(add, *options);
  commands.add(group, "list", "List the policies", list_policies);
  CLI::App* show = commands.add(group, "show", "Show one policy",
                                [options](Session& s) { return show_policy(s, *options); });
  CLI::App* set = commands.add(group, "set-default", "Use a policy for new files from now on",
                               [options](Session& s) { return set_default_policy(s, *options); });
  CLI::App* remove = commands.add(group, "remove", "Remove a policy that nothing is stored under",
                                  [options](Session& s) { return remove_policy(s, *options); });
  CLI::App* keys =
      commands.add(group, "set-credentials", "Give an s3 policy new credentials",
                   [options](Session& s) { return set_policy_credentials(s, *options); });
  describe_credentials(keys, options->bucket);
  for (CLI::App* command : {show, set, remove, keys}) {
    command->add_option("NAME", options->name, "Name or id of the policy")->required();
  }
  add_migrate_commands(commands, group);
}

}  // namespace aster::cli
