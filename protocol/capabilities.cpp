#include "protocol/capabilities.h"

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <initializer_list>

#include "protocol/http_text.h"
#include "protocol/json_reader.h"
#include "protocol/version.h"

namespace aster {
namespace {

namespace json = boost::json;

constexpr size_t kMostText = 64 * 1024;
constexpr size_t kMostFeatures = 256;

bool contains_header(const std::vector<std::string>& headers, std::string_view name) {
  return std::any_of(headers.begin(), headers.end(),
                     [&](const std::string& h) { return equals_ignoring_case(trim(h), name); });
}

json::array to_array(const std::vector<std::string>& items) {
  json::array out;
  for (const std::string& item : items) out.emplace_back(item);
  return out;
}

// v0.3.1 to head had the member under one of two names; only one may appear.
const json::object* managed_ingress(const JsonReader& reader) {
  const json::object* found = reader.object("managed_ingress");
  return found ? found : reader.object("remote_storage_target");
}

void read_features(const json::object* features, Capabilities& out) {
  if (!features) return;
  for (const auto& member : *features) {
    if (out.features.size() == kMostFeatures) return;
    if (!member.value().is_bool()) continue;
    out.features.emplace(std::string(member.key().data(), member.key().size()),
                         member.value().get_bool());
  }
}

std::vector<std::string> lacking_of_browsers(const Capabilities& c,
                                             std::initializer_list<std::string_view> allowed,
                                             std::initializer_list<std::string_view> exposed) {
  const std::string name(feature::kBrowserCors);
  if (!c.has(name)) return {name};
  std::vector<std::string> out;
  for (const std::string_view header : allowed) {
    if (contains_header(c.cors_allowed_headers, header)) continue;
    out.push_back(name + " (request header " + std::string(header) + ")");
  }
  for (const std::string_view header : exposed) {
    if (contains_header(c.cors_exposed_headers, header)) continue;
    out.push_back(name + " (answer header " + std::string(header) + ")");
  }
  return out;
}

}  // namespace

bool Capabilities::has(std::string_view feature) const {
  const auto found = features.find(feature);
  return found != features.end() && found->second;
}

std::optional<uint16_t> Capabilities::version() const {
  return parse_protocol_version(protocol_version);
}

std::vector<std::string> Capabilities::lacking_for_objects() const {
  std::vector<std::string> out;
  if (version() == 1) return out;
  for (const std::string_view name :
       {feature::kObjectGet, feature::kObjectHead, feature::kObjectPut, feature::kObjectDelete,
        feature::kMetadata, feature::kRangeGet, feature::kAcceptRanges, feature::kList,
        feature::kCompose}) {
    if (!has(name)) out.emplace_back(name);
  }
  return out;
}

std::vector<std::string> Capabilities::lacking_for_presigned_downloads() const {
  return lacking_of_browsers(*this, {"range"},
                             {"Accept-Ranges", "Content-Range", "Content-Length"});
}

std::vector<std::string> Capabilities::lacking_for_presigned_uploads() const {
  return lacking_of_browsers(*this, {"content-type"}, {"ETag"});
}

bool Capabilities::takes_target_driver(std::string_view driver) const {
  if (!has_managed_ingress) {
    const auto number = version();
    return number && *number <= 4 && (driver == "local" || driver == "s3");
  }
  return managed_ingress_enabled &&
         std::find(managed_ingress_drivers.begin(), managed_ingress_drivers.end(), driver) !=
             managed_ingress_drivers.end();
}

Capabilities own_capabilities(std::vector<std::string> drivers) {
  Capabilities out;
  out.protocol_version = "v" + std::to_string(kProtocolVersion);
  out.min_supported_protocol_version = "v" + std::to_string(kProtocolFloor);
  out.server_version = ASTER_VERSION;
  for (const std::string_view name :
       {feature::kObjectGet, feature::kObjectHead, feature::kObjectPut, feature::kObjectDelete,
        feature::kList, feature::kRangeGet, feature::kAcceptRanges, feature::kBrowserCors,
        feature::kCompose, feature::kMetadata, feature::kBindingStatePull, feature::kIngestCrc32c,
        feature::kComposeKeepParts, feature::kIngestCrc32cQuery, feature::kComposeRanges,
        feature::kBatchDelete}) {
    out.features.emplace(name, true);
  }
  out.cors_allowed_headers = {"content-type", "range"};
  out.cors_exposed_headers = {
      "Accept-Ranges", "Cache-Control", "Content-Disposition", "Content-Length", "Content-Range",
      "Content-Type",  "ETag"};
  out.has_managed_ingress = true;
  out.managed_ingress_enabled = true;
  out.managed_ingress_drivers = std::move(drivers);
  out.supports_list = true;
  out.supports_range_read = true;
  out.supports_stream_upload = true;
  out.supports_capacity = true;
  return out;
}

std::string to_json(const Capabilities& c) {
  json::object features;
  for (const auto& [name, on] : c.features) features[name] = on;
  json::object out;
  out["protocol_version"] = c.protocol_version;
  if (!c.min_supported_protocol_version.empty()) {
    out["min_supported_protocol_version"] = c.min_supported_protocol_version;
  }
  if (!c.server_version.empty()) out["server_version"] = c.server_version;
  out["features"] = std::move(features);
  out["browser_cors"] = {{"allowed_headers", to_array(c.cors_allowed_headers)},
                         {"exposed_headers", to_array(c.cors_exposed_headers)}};
  out["limits"] = json::object();
  if (c.has_managed_ingress) {
    out["managed_ingress"] = {{"enabled", c.managed_ingress_enabled},
                              {"driver_types", to_array(c.managed_ingress_drivers)}};
  }
  out["supports_list"] = c.supports_list;
  out["supports_range_read"] = c.supports_range_read;
  out["supports_stream_upload"] = c.supports_stream_upload;
  out["supports_capacity"] = c.supports_capacity;
  return json::serialize(out);
}

Result<Capabilities> parse_capabilities(std::string_view text) {
  ASTER_TRY(const json::object object, parse_json_object(text, kMostText));
  Capabilities out;
  JsonReader reader(object);
  reader.optional("protocol_version", out.protocol_version);
  reader.optional("min_supported_protocol_version", out.min_supported_protocol_version);
  reader.optional("server_version", out.server_version);
  reader.optional("supports_list", out.supports_list);
  reader.optional("supports_range_read", out.supports_range_read);
  reader.optional("supports_stream_upload", out.supports_stream_upload);
  reader.optional("supports_capacity", out.supports_capacity);
  read_features(reader.object("features"), out);
  if (const json::object* cors = reader.object("browser_cors")) {
    JsonReader member(*cors);
    member.optional("allowed_headers", out.cors_allowed_headers);
    member.optional("exposed_headers", out.cors_exposed_headers);
    ASTER_TRY(member.finish(true));
  }
  if (const json::object* ingress = managed_ingress(reader)) {
    out.has_managed_ingress = true;
    JsonReader member(*ingress);
    member.optional("enabled", out.managed_ingress_enabled);
    member.optional("driver_types", out.managed_ingress_drivers);
    ASTER_TRY(member.finish(true));
  }
  return reader.finish(std::move(out));
}

}  // namespace aster
