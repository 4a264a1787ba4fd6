#include "server/primary/policy_json.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "protocol/base/bytes.h"
#include "protocol/http_text.h"
#include "protocol/json_reader.h"
#include "protocol/object_key.h"
#include "server/primary/api_call.h"
#include "server/storage/s3_address.h"

namespace aster::primary {
namespace {

namespace json = boost::json;

constexpr size_t kPolicyNameMax = 128;
constexpr const char* kUpload = "remote_upload_strategy";
constexpr const char* kDownload = "remote_download_strategy";
constexpr const char* kRelayStream = "relay_stream";
/// Of a bucket, by the names of all versions of the API.
constexpr std::array<std::string_view, 4> kBucketStrategies = {
    "s3_upload_strategy", "s3_download_strategy", "object_storage_upload_strategy",
    "object_storage_download_strategy"};
/// S3 takes keys of 1024 bytes; "/files/" and the object's name need some.
constexpr size_t kBucketPrefixMax = 960;

Result<void> check_name(std::string& name) {
  name = std::string(trim(name));
  if (name.empty() || name.size() > kPolicyNameMax) {
    return fail(Errc::bad_request, "name has 1 to 128 bytes");
  }
  return ok();
}

Result<void> check_driver(const std::string& driver) {
  if (driver == "local" || driver == "remote" || driver == "s3") return ok();
  return fail(Errc::bad_request, "driver_type is \"local\", \"s3\" or \"remote\"");
}

Result<std::string> check_base_path(const std::string& given) {
  if (trim(given).empty()) return std::string();
  auto key = normalize_key(given);
  if (!key.ok()) return fail(Errc::bad_request, "base_path: " + key.error().context);
  return *key == "." ? std::string() : *key;
}

bool is_strategy(const std::string& driver, std::string_view name) {
  if (driver != "s3") return name == kUpload || name == kDownload;
  return std::find(kBucketStrategies.begin(), kBucketStrategies.end(), name) !=
         kBucketStrategies.end();
}

/// Only members that mean something here: a silent no would be worse.
Result<std::string> check_options(const std::string& driver, const json::object& options) {
  for (const auto& [name, value] : options) {
    const std::string option = "options: " + std::string(name);
    if (!is_strategy(driver, name)) {
      return fail(Errc::bad_request, option + ": no such option of a policy of driver " + driver);
    }
    const auto* text = value.if_string();
    if (text == nullptr || (*text != "presigned" && *text != kRelayStream)) {
      return fail(Errc::bad_request, option + " is \"relay_stream\" or \"presigned\"");
    }
    if (driver == "s3" && *text != kRelayStream) {
      return fail(Errc::bad_request,
                  option +
                      " is \"relay_stream\": the bytes of a bucket of this server travel "
                      "through it. For clients that talk to the storage themselves use a "
                      "follower with an s3 target and a remote policy that is presigned");
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

/// It goes into headers and canonical requests: nothing there may break a line.
Result<void> check_key(const char* member, const std::string& key) {
  if (key.empty()) {
    return fail(Errc::bad_request, std::string("an s3 policy needs ") + member);
  }
  const auto is_plain = [](char c) { return c > ' ' && c < 127; };
  if (std::all_of(key.begin(), key.end(), is_plain)) return ok();
  return fail(Errc::bad_request,
              std::string(member) + " consists of visible ASCII characters without blanks");
}

Result<void> check_bucket(const db::PolicyRow& row) {
  if (row.s3.endpoint.empty()) return fail(Errc::bad_request, "an s3 policy needs endpoint");
  if (row.s3.bucket.empty()) return fail(Errc::bad_request, "an s3 policy needs bucket");
  ASTER_TRY(storage::S3Address::parse(row.s3.endpoint, row.s3.bucket));
  if (row.base_path.size() > kBucketPrefixMax) {
    return fail(Errc::bad_request,
                "base_path has at most " + std::to_string(kBucketPrefixMax) + " bytes in a bucket");
  }
  ASTER_TRY(check_key("access_key", row.s3.access_key));
  return check_key("secret_key", row.s3.secret_key);
}

Result<void> check_driver_fields(const db::PolicyRow& row) {
  if (row.driver != "s3" && row.s3 != db::BucketAccess()) {
    return fail(Errc::bad_request, "only an s3 policy has endpoint, bucket and keys");
  }
  if (row.driver == "remote") {
    if (!row.node) return fail(Errc::bad_request, "a remote policy needs remote_node_id");
    return ok();
  }
  if (row.node || !row.target_key.empty()) {
    return fail(Errc::bad_request, "only a remote policy has a remote node or target");
  }
  if (row.driver == "s3") return check_bucket(row);
  if (row.options != "{}") return fail(Errc::bad_request, "a local policy has no strategies");
  return ok();
}

Driver driver_of(const std::string& name) {
  if (name == "s3") return Driver::s3;
  return name == "remote" ? Driver::remote : Driver::local;
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
  std::optional<std::string> endpoint;
  std::optional<std::string> bucket;
  std::optional<std::string> access_key;
  std::optional<std::string> secret_key;
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
  reader.optional("endpoint", given.endpoint);
  reader.optional("bucket", given.bucket);
  reader.optional("access_key", given.access_key);
  reader.optional("secret_key", given.secret_key);
  reader.optional("base_path", given.base_path);
  reader.optional("remote_node_id", given.node);
  reader.optional("remote_storage_target_key", given.target_key);
  reader.optional("max_file_size", given.max_file_size);
  reader.optional("chunk_size", given.chunk_size);
  reader.optional("is_default", given.is_default);
  reader.optional("allowed_types", given.allowed_types);
  return reader.finish(std::move(given));
}

void put_bucket(db::BucketAccess& access, Given& given) {
  if (given.endpoint) access.endpoint = std::string(trim(*given.endpoint));
  if (given.bucket) access.bucket = std::string(trim(*given.bucket));
  if (given.access_key) access.access_key = std::move(*given.access_key);
  if (given.secret_key) access.secret_key = std::move(*given.secret_key);
}

Result<void> put_over(db::PolicyRow& row, Given given, bool creating) {
  if (row.name.empty() && !given.name) return fail(Errc::bad_request, "name is missing");
  if (creating && !given.driver) return fail(Errc::bad_request, "driver_type is missing");
  if (!creating && given.driver && *given.driver != row.driver) {
    return fail(Errc::bad_request, "driver_type cannot be changed");
  }
  if (given.allowed_types && !given.allowed_types->empty()) {
    return fail(Errc::unsupported, "allowed_types is not enforced by this server; leave it empty");
  }
  if (given.name) row.name = std::move(*given.name);
  if (given.driver) row.driver = std::move(*given.driver);
  put_bucket(row.s3, given);
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
    ASTER_TRY(row.options, check_options(row.driver, options->get_object()));
  }
  ASTER_TRY(check_sizes(row));
  ASTER_TRY(check_driver_fields(row));
  return row;
}

Policy parse_policy(const db::PolicyRow& row) {
  Policy policy;
  policy.id = row.id;
  policy.name = row.name;
  policy.driver = driver_of(row.driver);
  policy.base_path = row.base_path;
  policy.node = row.node.value_or(NodeId());
  policy.target_key = row.target_key;
  policy.s3 = row.s3;
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
