#include "server/primary/policy_json.h"

#include <boost/json.hpp>

#include "protocol/base/bytes.h"
#include "protocol/http_text.h"
#include "protocol/json_reader.h"
#include "protocol/object_key.h"
#include "server/primary/api_call.h"

namespace aster::primary {
namespace {

namespace json = boost::json;

constexpr size_t kPolicyNameMax = 128;
constexpr const char* kUpload = "remote_upload_strategy";
constexpr const char* kDownload = "remote_download_strategy";

Result<void> check_name(std::string& name) {
  name = std::string(trim(name));
  if (name.empty() || name.size() > kPolicyNameMax) {
    return fail(Errc::bad_request, "name has 1 to 128 bytes");
  }
  return ok();
}

Result<void> check_driver(const std::string& driver) {
  if (driver == "local" || driver == "remote") return ok();
  if (driver == "s3") {
    return fail(Errc::unsupported,
                "driver_type s3 is not there on the primary; use a follower with an s3 target");
  }
  return fail(Errc::bad_request, "driver_type is \"local\" or \"remote\"");
}

Result<std::string> check_base_path(const std::string& given) {
  if (trim(given).empty()) return std::string();
  auto key = normalize_key(given);
  if (!key.ok()) return fail(Errc::bad_request, "base_path: " + key.error().context);
  return *key == "." ? std::string() : *key;
}

/// Only members that mean something here: a silent no would be worse.
Result<std::string> check_options(const json::object& options) {
  for (const auto& [name, value] : options) {
    if (name != kUpload && name != kDownload) {
      return fail(Errc::bad_request, "options: no such option: " + std::string(name));
    }
    const auto* text = value.if_string();
    if (text == nullptr || (*text != "presigned" && *text != "relay_stream")) {
      return fail(Errc::bad_request,
                  "options: " + std::string(name) + " is \"relay_stream\" or \"presigned\"");
    }
  }
  return json::serialize(options);
}

Result<void> check_sizes(const db::PolicyRow& row) {
  if (row.chunk_size % kBlockSize != 0 || row.chunk_size > kMaxPartSize) {
    return fail(Errc::bad_request, "chunk_size is a multiple of " + std::to_string(kBlockSize) +
                                       " bytes, at most " + std::to_string(kMaxPartSize));
  }
  return ok();
}

Result<void> check_driver_fields(db::PolicyRow& row) {
  if (row.driver == "remote") {
    if (!row.node) return fail(Errc::bad_request, "a remote policy needs remote_node_id");
    return ok();
  }
  if (row.node || !row.target_key.empty() || row.options != "{}") {
    return fail(Errc::bad_request, "a local policy has no remote node, target or strategies");
  }
  return ok();
}

bool is_presigned(const std::string& options, const char* name) {
  const json::value parsed = json::parse(options);
  const auto* value = parsed.as_object().if_contains(name);
  return value != nullptr && value->as_string() == "presigned";
}

/// The members as they came; nullopt = not there.
struct Given {
  std::optional<std::string> name;
  std::optional<std::string> driver;
  std::optional<std::string> base_path;
  std::optional<uint64_t> node;
  std::optional<std::string> target_key;
  std::optional<uint64_t> max_file_size;
  std::optional<uint64_t> chunk_size;
  std::optional<bool> is_default;
  std::optional<std::vector<std::string>> allowed_types;
};

Result<Given> read_members(const json::object& object) {
  JsonReader reader(object);
  Given given;
  reader.optional("name", given.name);
  reader.optional("driver_type", given.driver);
  reader.optional("base_path", given.base_path);
  reader.optional("remote_node_id", given.node);
  reader.optional("remote_storage_target_key", given.target_key);
  reader.optional("max_file_size", given.max_file_size);
  reader.optional("chunk_size", given.chunk_size);
  reader.optional("is_default", given.is_default);
  reader.optional("allowed_types", given.allowed_types);
  return reader.finish(std::move(given));
}

Result<void> put_over(db::PolicyRow& row, Given given, bool creating) {
  if (creating && !given.name) return fail(Errc::bad_request, "name is missing");
  if (creating && !given.driver) return fail(Errc::bad_request, "driver_type is missing");
  if (!creating && given.driver && *given.driver != row.driver) {
    return fail(Errc::bad_request, "driver_type cannot be changed");
  }
  if (given.allowed_types && !given.allowed_types->empty()) {
    return fail(Errc::unsupported, "allowed_types is not enforced by this server; leave it empty");
  }
  if (given.name) row.name = std::move(*given.name);
  if (given.driver) row.driver = std::move(*given.driver);
  if (given.base_path) {
    ASTER_TRY(row.base_path, check_base_path(*given.base_path));
  }
  if (given.node) row.node = NodeId(*given.node);
  if (given.target_key) row.target_key = std::string(trim(*given.target_key));
  if (given.max_file_size) row.max_file_size = *given.max_file_size;
  if (given.chunk_size) row.chunk_size = *given.chunk_size;
  if (row.chunk_size == 0) row.chunk_size = kDefaultPartSize;
  if (given.is_default) row.is_default = *given.is_default;
  ASTER_TRY(check_name(row.name));
  return check_driver(row.driver);
}

}  // namespace

Result<db::PolicyRow> apply_policy_json(db::PolicyRow row, std::string_view body, bool creating) {
  ASTER_TRY(const json::object object, parse_json_object(body, kMaxApiBody));
  ASTER_TRY(Given given, read_members(object));
  ASTER_TRY(put_over(row, std::move(given), creating));
  if (const json::value* options = object.if_contains("options"); options && !options->is_null()) {
    if (!options->is_object()) return fail(Errc::bad_request, "options is no object");
    ASTER_TRY(row.options, check_options(options->get_object()));
  }
  ASTER_TRY(check_sizes(row));
  ASTER_TRY(check_driver_fields(row));
  return row;
}

Policy parse_policy(const db::PolicyRow& row) {
  Policy policy;
  policy.id = row.id;
  policy.name = row.name;
  policy.driver = row.driver == "remote" ? Driver::remote : Driver::local;
  policy.base_path = row.base_path;
  policy.node = row.node.value_or(NodeId());
  policy.target_key = row.target_key;
  policy.max_file_size = row.max_file_size;
  policy.limits.part_size = row.chunk_size;
  if (row.max_file_size != 0) {
    policy.limits.max_file = row.max_file_size;
    policy.limits.max_object = row.max_file_size;
  }
  policy.presigned_upload = is_presigned(row.options, kUpload);
  policy.presigned_download = is_presigned(row.options, kDownload);
  policy.is_default = row.is_default;
  return policy;
}

}  // namespace aster::primary
