#include "tools/aster_abilities.h"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "protocol/capabilities.h"
#include "tools/aster_output.h"

namespace aster::cli {
namespace {

namespace json = boost::json;

Capabilities capabilities_of(const json::value& node) {
  const json::value* member =
      node.is_object() ? node.get_object().if_contains("capabilities") : nullptr;
  if (!member) return {};
  Result<Capabilities> parsed = parse_capabilities(json::serialize(*member));
  return parsed.ok() ? std::move(*parsed) : Capabilities();
}

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + printable(name);
  return out.empty() ? "-" : out;
}

std::string range(const Capabilities& c) {
  const bool one = c.min_supported_protocol_version.empty() ||
                   c.min_supported_protocol_version == c.protocol_version;
  if (one) return joined({c.protocol_version});
  return joined({c.min_supported_protocol_version + " to " + c.protocol_version});
}

/// "yes", or "no: lacks a, b".
std::string verdict(std::vector<std::string> lacking, const std::vector<std::string>& more = {}) {
  lacking.insert(lacking.end(), more.begin(), more.end());
  return lacking.empty() ? "yes" : "no, lacks " + joined(lacking);
}

}  // namespace

std::vector<std::pair<std::string, std::string>> describe_abilities(const json::value& node) {
  const Capabilities c = capabilities_of(node);
  if (c.protocol_version.empty()) return {{"abilities", "not known yet (see: aster node test)"}};
  std::vector<std::string> features;
  for (const auto& [name, on] : c.features) {
    if (on) features.push_back(name);
  }
  std::vector<std::string> drivers;
  for (const char* driver : {"local", "s3"}) {
    if (c.takes_target_driver(driver)) drivers.emplace_back(driver);
  }
  const std::vector<std::string> lacking = c.lacking_for_objects();
  return {{"protocol", range(c)},
          {"version", joined({c.server_version})},
          {"features", joined(features)},
          {"target drivers", joined(drivers)},
          {"capacity", c.supports_capacity ? "shown" : "not shown"},
          {"relay_stream", verdict(lacking)},
          {"presigned uploads", verdict(lacking, c.lacking_for_presigned_uploads())},
          {"presigned downloads", verdict(lacking, c.lacking_for_presigned_downloads())}};
}

}  // namespace aster::cli
