#include "protocol/messages.h"

#include <boost/json/serialize.hpp>

#include "protocol/envelope.h"
#include "protocol/json_reader.h"

namespace aster {
namespace {

namespace json = boost::json;

constexpr std::string_view kDefaultTransport = "reverse_tunnel";

template <class T>
json::value or_null(const std::optional<T>& value) {
  return value ? json::value(*value) : json::value(nullptr);
}

template <class T>
void put(json::object& out, std::string_view name, const std::optional<T>& value) {
  if (value) out[json::string_view(name.data(), name.size())] = *value;
}

json::array to_array(const std::vector<std::string>& items) {
  json::array out;
  out.reserve(items.size());
  for (const std::string& item : items) out.emplace_back(item);
  return out;
}

json::object to_object(const TargetInfo& m) {
  return {{"profile_key", m.target_key},
          {"target_key", m.target_key},
          {"name", m.name},
          {"driver_type", m.driver_type},
          {"endpoint", m.endpoint},
          {"bucket", m.bucket},
          {"base_path", m.base_path},
          {"max_file_size", m.max_file_size},
          {"is_default", m.is_default},
          {"desired_revision", m.desired_revision},
          {"applied_revision", m.applied_revision},
          {"last_error", m.last_error},
          {"created_at", m.created_at},
          {"updated_at", m.updated_at}};
}

Result<TargetInfo> read_target(const json::object& object) {
  TargetInfo out;
  JsonReader reader(object);
  reader.optional("profile_key", out.target_key);
  reader.optional("target_key", out.target_key);
  if (out.target_key.empty()) return fail(Errc::bad_request, "missing member 'target_key'");
  reader.required("name", out.name);
  reader.required("driver_type", out.driver_type);
  reader.optional("endpoint", out.endpoint);
  reader.optional("bucket", out.bucket);
  reader.optional("base_path", out.base_path);
  reader.optional("max_file_size", out.max_file_size);
  reader.optional("is_default", out.is_default);
  reader.optional("desired_revision", out.desired_revision);
  reader.optional("applied_revision", out.applied_revision);
  reader.optional("last_error", out.last_error);
  reader.optional("created_at", out.created_at);
  reader.optional("updated_at", out.updated_at);
  return reader.finish(std::move(out));
}

/// The objects in an array member; none when it is absent.
Result<std::vector<const json::object*>> objects_of(const json::object& object,
                                                    json::string_view name) {
  std::vector<const json::object*> out;
  const json::value* member = object.if_contains(name);
  if (!member || member->is_null()) return out;
  const Error wrong = fail(Errc::bad_request, "member '" + std::string(name.data(), name.size()) +
                                                  "' must be an array of objects");
  if (!member->is_array()) return wrong;
  for (const json::value& item : member->get_array()) {
    if (!item.is_object()) return wrong;
    out.push_back(&item.get_object());
  }
  return out;
}

Result<PartRange> read_part_range(const json::object& object) {
  PartRange out;
  JsonReader reader(object);
  reader.required("key", out.key);
  reader.required("offset", out.offset);
  reader.required("length", out.length);
  return reader.finish(std::move(out));
}

Result<void> check_driver(const std::string& driver) {
  if (driver == "local" || driver == "s3") return ok();
  return fail(Errc::bad_request, "member 'driver_type' must be local or s3");
}

}  // namespace

std::string to_json(const BindingState& m) {
  return json::serialize(json::object{{"name", m.name},
                                      {"is_enabled", m.is_enabled},
                                      {"resolved_transport", m.resolved_transport},
                                      {"desired_revision", m.desired_revision}});
}

std::string to_json(const TargetCreate& m, bool with_max_file_size) {
  json::object out{{"driver_type", m.driver_type}, {"name", m.name}, {"base_path", m.base_path}};
  if (m.driver_type == "s3") {
    out["endpoint"] = m.endpoint;
    out["bucket"] = m.bucket;
    out["access_key"] = m.access_key;
    out["secret_key"] = m.secret_key;
  }
  if (with_max_file_size) out["max_file_size"] = m.max_file_size.value_or(0);
  out["is_default"] = m.is_default;
  return json::serialize(out);
}

std::string to_json(const TargetUpdate& m, bool with_max_file_size) {
  json::object out;
  put(out, "name", m.name);
  put(out, "driver_type", m.driver_type);
  put(out, "endpoint", m.endpoint);
  put(out, "bucket", m.bucket);
  put(out, "access_key", m.access_key);
  put(out, "secret_key", m.secret_key);
  put(out, "base_path", m.base_path);
  if (with_max_file_size) put(out, "max_file_size", m.max_file_size);
  put(out, "is_default", m.is_default);
  return json::serialize(out);
}

std::string to_json(const TargetInfo& m) {
  return json::serialize(to_object(m));
}

std::string to_json(const std::vector<TargetInfo>& targets) {
  json::array out;
  for (const TargetInfo& target : targets) out.push_back(to_object(target));
  return json::serialize(out);
}

std::string to_json(const ObjectList& m) {
  json::object out{{"items", to_array(m.items)}};
  put(out, "next_cursor", m.next_cursor);
  return json::serialize(out);
}

std::string to_json(const ObjectMetadata& m) {
  return json::serialize(json::object{{"size", m.size}, {"content_type", or_null(m.content_type)}});
}

std::string to_json(const ComposeRequest& m) {
  json::object out{{"target_key", m.target_key}};
  if (m.part_ranges.empty()) {
    out["part_keys"] = to_array(m.part_keys);
  } else {
    json::array& ranges = out["part_ranges"].emplace_array();
    for (const PartRange& r : m.part_ranges) {
      ranges.push_back(json::object{{"key", r.key}, {"offset", r.offset}, {"length", r.length}});
    }
  }
  out["expected_size"] = m.expected_size;
  return json::serialize(out);
}

std::string to_json(const BatchDelete& m) {
  return json::serialize(json::object{{"keys", to_array(m.keys)}});
}

std::string to_json(const BatchDeleteAnswer& m) {
  json::object out{{"deleted", m.deleted}};
  json::array& failed = out["failed"].emplace_array();
  for (const auto& f : m.failed) {
    failed.push_back(json::object{{"key", f.key}, {"code", f.code}, {"msg", f.message}});
  }
  return json::serialize(out);
}

std::string to_json(const ComposeAnswer& m) {
  return json::serialize(json::object{{"bytes_written", m.bytes_written}});
}

std::string to_json(const Capacity& m) {
  json::object capacity{{"status", m.status},
                        {"total_bytes", or_null(m.total_bytes)},
                        {"available_bytes", or_null(m.available_bytes)},
                        {"used_bytes", or_null(m.used_bytes)},
                        {"source", m.source},
                        {"observed_at", m.observed_at}};
  return json::serialize(json::object{{"capacity", std::move(capacity)}});
}

std::string to_json(const RedeemRequest& m) {
  return json::serialize(json::object{{"token", m.token}});
}

std::string to_json(const RedeemAnswer& m) {
  json::object out{{"remote_node_id", m.remote_node_id},
                   {"remote_node_name", m.remote_node_name},
                   {"master_url", m.master_url},
                   {"access_key", m.access_key},
                   {"secret_key", m.secret_key},
                   {"is_enabled", m.is_enabled},
                   {"ack_token", m.ack_token},
                   {"resolved_transport", m.resolved_transport},
                   {"desired_revision", m.desired_revision}};
  put(out, "namespace", m.storage_namespace);
  return json::serialize(out);
}

std::string to_json(const AckRequest& m) {
  return json::serialize(json::object{{"ack_token", m.ack_token}});
}

template <>
Result<BindingState> from_json(std::string_view text) {
  ASTER_TRY(const json::object object, parse_json_object(text, kMaxJsonRequest));
  BindingState out{.resolved_transport = std::string(kDefaultTransport)};
  JsonReader reader(object);
  reader.required("name", out.name);
  reader.required("is_enabled", out.is_enabled);
  reader.optional("resolved_transport", out.resolved_transport);
  reader.optional("desired_revision", out.desired_revision);
  return reader.finish(std::move(out));
}

template <>
Result<TargetCreate> from_json(std::string_view text) {
  ASTER_TRY(const json::object object, parse_json_object(text, kMaxJsonRequest));
  TargetCreate out;
  JsonReader reader(object);
  reader.required("driver_type", out.driver_type);
  reader.required("name", out.name);
  reader.required("base_path", out.base_path);
  if (out.driver_type == "s3") {
    reader.required("endpoint", out.endpoint);
    reader.required("bucket", out.bucket);
    reader.required("access_key", out.access_key);
    reader.required("secret_key", out.secret_key);
  }
  reader.optional("max_file_size", out.max_file_size);
  reader.optional("is_default", out.is_default);
  ASTER_TRY(out, reader.finish(std::move(out)));
  ASTER_TRY(check_driver(out.driver_type));
  return out;
}

template <>
Result<TargetUpdate> from_json(std::string_view text) {
  ASTER_TRY(const json::object object, parse_json_object(text, kMaxJsonRequest));
  TargetUpdate out;
  JsonReader reader(object);
  reader.optional("name", out.name);
  reader.optional("driver_type", out.driver_type);
  reader.optional("endpoint", out.endpoint);
  reader.optional("bucket", out.bucket);
  reader.optional("access_key", out.access_key);
  reader.optional("secret_key", out.secret_key);
  reader.optional("base_path", out.base_path);
  reader.optional("max_file_size", out.max_file_size);
  reader.optional("is_default", out.is_default);
  return reader.finish(std::move(out));
}

template <>
Result<TargetInfo> from_json(std::string_view text) {
  ASTER_TRY(const json::object object, parse_json_object(text, kMaxJsonRequest));
  return read_target(object);
}

template <>
Result<std::vector<TargetInfo>> from_json(std::string_view text) {
  ASTER_TRY(const json::value value, parse_json(text, kMaxJsonRequest));
  if (!value.is_array()) return fail(Errc::bad_request, "JSON array expected");
  std::vector<TargetInfo> out;
  for (const json::value& item : value.get_array()) {
    if (!item.is_object()) return fail(Errc::bad_request, "array of objects expected");
    ASTER_TRY(TargetInfo target, read_target(item.get_object()));
    out.push_back(std::move(target));
  }
  return out;
}

template <>
Result<ObjectList> from_json(std::string_view text) {
  ASTER_TRY(const json::object object, parse_json_object(text, kMaxListAnswer));
  ObjectList out;
  JsonReader reader(object);
  reader.required("items", out.items);
  reader.optional("next_cursor", out.next_cursor);
  return reader.finish(std::move(out));
}

template <>
Result<ObjectMetadata> from_json(std::string_view text) {
  ASTER_TRY(const json::object object, parse_json_object(text, kMaxJsonRequest));
  ObjectMetadata out;
  JsonReader reader(object);
  reader.required("size", out.size);
  reader.optional("content_type", out.content_type);
  return reader.finish(std::move(out));
}

template <>
Result<ComposeRequest> from_json(std::string_view text) {
  ASTER_TRY(const json::object object, parse_json_object(text, kMaxJsonRequest));
  ComposeRequest out;
  JsonReader reader(object);
  reader.required("target_key", out.target_key);
  ASTER_TRY(const auto ranges, objects_of(object, "part_ranges"));
  if (ranges.empty()) {
    reader.required("part_keys", out.part_keys);
  } else if (object.contains("part_keys")) {
    return fail(Errc::bad_request, "'part_keys' and 'part_ranges' exclude each other");
  }
  for (const json::object* range : ranges) {
    ASTER_TRY(PartRange part, read_part_range(*range));
    out.part_ranges.push_back(std::move(part));
  }
  reader.required("expected_size", out.expected_size);
  return reader.finish(std::move(out));
}

template <>
Result<BatchDelete> from_json(std::string_view text) {
  ASTER_TRY(const json::object object, parse_json_object(text, kMaxJsonRequest));
  BatchDelete out;
  JsonReader reader(object);
  reader.required("keys", out.keys);
  return reader.finish(std::move(out));
}

template <>
Result<BatchDeleteAnswer> from_json(std::string_view text) {
  ASTER_TRY(const json::object object, parse_json_object(text, kMaxJsonRequest));
  BatchDeleteAnswer out;
  JsonReader reader(object);
  reader.required("deleted", out.deleted);
  ASTER_TRY(const auto failed, objects_of(object, "failed"));
  for (const json::object* item : failed) {
    JsonReader member(*item);
    BatchDeleteAnswer::Failure failure;
    member.required("key", failure.key);
    member.optional("code", failure.code);
    member.optional("msg", failure.message);
    ASTER_TRY(failure, member.finish(std::move(failure)));
    out.failed.push_back(std::move(failure));
  }
  return reader.finish(std::move(out));
}

template <>
Result<ComposeAnswer> from_json(std::string_view text) {
  ASTER_TRY(const json::object object, parse_json_object(text, kMaxJsonRequest));
  ComposeAnswer out;
  JsonReader reader(object);
  reader.required("bytes_written", out.bytes_written);
  return reader.finish(out);
}

template <>
Result<Capacity> from_json(std::string_view text) {
  ASTER_TRY(const json::object object, parse_json_object(text, kMaxJsonRequest));
  const json::object* inner = JsonReader(object).object("capacity");
  if (!inner) return fail(Errc::bad_request, "missing member 'capacity'");
  Capacity out;
  JsonReader reader(*inner);
  reader.required("status", out.status);
  reader.optional("total_bytes", out.total_bytes);
  reader.optional("available_bytes", out.available_bytes);
  reader.optional("used_bytes", out.used_bytes);
  reader.optional("source", out.source);
  reader.optional("observed_at", out.observed_at);
  return reader.finish(std::move(out));
}

template <>
Result<RedeemRequest> from_json(std::string_view text) {
  ASTER_TRY(const json::object object, parse_json_object(text, kMaxJsonRequest));
  RedeemRequest out;
  JsonReader reader(object);
  reader.required("token", out.token);
  return reader.finish(std::move(out));
}

template <>
Result<RedeemAnswer> from_json(std::string_view text) {
  ASTER_TRY(const json::object object, parse_json_object(text, kMaxJsonRequest));
  RedeemAnswer out;
  out.resolved_transport = kDefaultTransport;
  JsonReader reader(object);
  reader.required("remote_node_id", out.remote_node_id);
  reader.required("remote_node_name", out.remote_node_name);
  reader.required("master_url", out.master_url);
  reader.required("access_key", out.access_key);
  reader.required("secret_key", out.secret_key);
  reader.required("is_enabled", out.is_enabled);
  reader.required("ack_token", out.ack_token);
  reader.optional("resolved_transport", out.resolved_transport);
  reader.optional("desired_revision", out.desired_revision);
  reader.optional("namespace", out.storage_namespace);
  return reader.finish(std::move(out));
}

template <>
Result<AckRequest> from_json(std::string_view text) {
  ASTER_TRY(const json::object object, parse_json_object(text, kMaxJsonRequest));
  AckRequest out;
  JsonReader reader(object);
  reader.required("ack_token", out.ack_token);
  return reader.finish(std::move(out));
}

}  // namespace aster
