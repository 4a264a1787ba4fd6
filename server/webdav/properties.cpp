#include "server/webdav/properties.h"

#include <algorithm>
#include <ctime>

#include "server/content/serve_file.h"
#include "server/webdav/xml_text.h"

namespace aster::webdav {
namespace {

enum class Live {
  creation_date,
  content_length,
  content_type,
  display_name,
  etag,
  last_modified,
  lock_discovery,
  quota_available,
  quota_used,
  resource_type,
  supported_lock,
};

struct LiveName {
  std::string_view local;
  Live property;
  bool in_all;  ///< part of allprop (RFC 4331: the quota is not)
};
constexpr LiveName kLive[] = {
    {"creationdate", Live::creation_date, true},
    {"displayname", Live::display_name, true},
    {"getcontentlength", Live::content_length, true},
    {"getcontenttype", Live::content_type, true},
    {"getetag", Live::etag, true},
    {"getlastmodified", Live::last_modified, true},
    {"lockdiscovery", Live::lock_discovery, true},
    {"quota-available-bytes", Live::quota_available, false},
    {"quota-used-bytes", Live::quota_used, false},
    {"resourcetype", Live::resource_type, true},
    {"supportedlock", Live::supported_lock, true},
};

constexpr std::string_view kSupportedLock =
    "<D:lockentry><D:lockscope><D:exclusive/></D:lockscope><D:locktype><D:write/></D:locktype>"
    "</D:lockentry><D:lockentry><D:lockscope><D:shared/></D:lockscope><D:locktype><D:write/>"
    "</D:locktype></D:lockentry>";

const LiveName* live_of(const PropertyName& name) {
  if (name.space != kDav) return nullptr;
  for (const LiveName& live : kLive) {
    if (live.local == name.local) return &live;
  }
  return nullptr;
}

/// The inner XML; nullopt when the resource does not have this property.
std::optional<std::string> value_of(const Described& resource, Live property) {
  const bool is_file = resource.attr.type == fs::FileType::regular;
  std::optional<std::string> value;
  switch (property) {
    case Live::creation_date: value = iso_date(resource.attr.btime); break;
    case Live::content_length:
      if (is_file) value = std::to_string(resource.attr.size);
      break;
    case Live::content_type:
      if (is_file) value = std::string(content::content_type_of(resource.name));
      break;
    case Live::display_name: value = xml_escape(resource.name); break;
    case Live::etag:
      if (is_file) value = xml_escape(content::etag_of(resource.attr));
      break;
    case Live::last_modified: value = content::http_date(resource.attr.mtime); break;
    case Live::lock_discovery: value = resource.locks; break;
    case Live::quota_available:
      if (resource.quota) value = std::to_string(resource.quota->available);
      break;
    case Live::quota_used:
      if (resource.quota) value = std::to_string(resource.quota->used);
      break;
    case Live::resource_type: value = is_file ? "" : "<D:collection/>"; break;
    case Live::supported_lock: value = std::string(kSupportedLock); break;
  }
  return value;
}

std::string live_element(std::string_view local, const std::string& inner) {
  const std::string name = "D:" + std::string(local);
  if (inner.empty()) return "<" + name + "/>";
  return "<" + name + ">" + inner + "</" + name + ">";
}

std::string empty_element(const PropertyName& name) {
  return "<" + name.local + " xmlns=\"" + xml_escape(name.space) + "\"/>";
}

/// Elements found and missed, each the content of a prop.
struct Propstats {
  std::string found;
  std::string missing;
};

const content::Tree::Attribute* dead_of(const Described& resource, const PropertyName& name) {
  const std::string attribute = attribute_of(name);
  for (const auto& dead : resource.dead) {
    if (dead.name == attribute) return &dead;
  }
  return nullptr;
}

void add_named(Propstats& out, const Described& resource, const PropertyName& name) {
  if (const LiveName* live = live_of(name)) {
    if (const auto value = value_of(resource, live->property)) {
      out.found += live_element(live->local, *value);
      return;
    }
  } else if (const auto* dead = dead_of(resource, name)) {
    out.found += dead->value;
    return;
  }
  out.missing += empty_element(name);
}

void add_all(Propstats& out, const Described& resource, bool names_only) {
  for (const LiveName& live : kLive) {
    if (!live.in_all && !names_only) continue;
    const auto value = value_of(resource, live.property);
    if (value) out.found += live_element(live.local, names_only ? std::string() : *value);
  }
  for (const auto& dead : resource.dead) {
    if (!names_only) out.found += dead.value;
    if (names_only) out.found += empty_element(parse_property(dead.value).value());
  }
}

}  // namespace

std::string attribute_of(const PropertyName& name) {
  return std::string(kDeadPrefix) + "{" + name.space + "}" + name.local;
}

bool is_property(const content::Tree::Attribute& attribute) {
  const auto name = parse_property(attribute.value);
  return name.ok() && attribute_of(*name) == attribute.name;
}

bool is_protected(const PropertyName& name) {
  return live_of(name) != nullptr;
}

bool wants_dead(const PropfindRequest& request) {
  if (request.kind != PropfindRequest::Kind::some) return true;
  return std::any_of(request.wanted.begin(), request.wanted.end(),
                     [](const PropertyName& name) { return live_of(name) == nullptr; });
}

bool wants_quota(const PropfindRequest& request) {
  return std::any_of(request.wanted.begin(), request.wanted.end(), [](const PropertyName& name) {
    return name.space == kDav && name.local.starts_with("quota-");
  });
}

std::string response_xml(const Described& resource, const PropfindRequest& request) {
  Propstats stats;
  if (request.kind != PropfindRequest::Kind::some) {
    add_all(stats, resource, request.kind == PropfindRequest::Kind::names);
  }
  for (const PropertyName& name : request.wanted) {
    const LiveName* const live = live_of(name);
    const bool given = request.kind == PropfindRequest::Kind::all &&
                       ((live && live->in_all) || dead_of(resource, name) != nullptr);
    if (!given) add_named(stats, resource, name);
  }
  std::string out = "<D:response><D:href>" + xml_escape(resource.href) + "</D:href>";
  if (!stats.found.empty() || stats.missing.empty()) {
    out += "<D:propstat><D:prop>" + stats.found +
           "</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>";
  }
  if (!stats.missing.empty()) {
    out += "<D:propstat><D:prop>" + stats.missing +
           "</D:prop><D:status>HTTP/1.1 404 Not Found</D:status></D:propstat>";
  }
  return out + "</D:response>\n";
}

std::string iso_date(int64_t unix_ns) {
  const time_t seconds = static_cast<time_t>(unix_ns / 1'000'000'000);
  tm parts{};
  char text[64];
  ::gmtime_r(&seconds, &parts);
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

}  // namespace aster::webdav
