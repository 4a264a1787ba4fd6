#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/content/tree.h"
#include "server/webdav/xml_request.h"

/// Properties of resources. Live ones are computed; dead ones are extended attributes of the inode,
/// so that they go with it wherever it goes, and a mount sees them, too.
namespace aster::webdav {

/// Names of the attributes begin with this; "user.dav.{namespace}local".
inline constexpr std::string_view kDeadPrefix = "user.dav.";

std::string attribute_of(const PropertyName& name);
/// False for what a mount set under such a name and is no property: it would spoil an answer.
bool is_property(const content::Tree::Attribute& attribute);

/// What a client cannot set.
bool is_protected(const PropertyName& name);

struct Quota {
  uint64_t used = 0;
  uint64_t available = 0;
};

/// One resource with what its properties need.
struct Described {
  fs::Attr attr;
  std::string href;  ///< percent-encoded; ends with '/' for collections
  std::string name;  ///< last name; empty for the root
  std::vector<content::Tree::Attribute> dead;
  std::string locks;  ///< activelock elements
  std::optional<Quota> quota;
};

/// Whether the answer needs the dead properties, or the quota.
bool wants_dead(const PropfindRequest& request);
bool wants_quota(const PropfindRequest& request);

/// The response element of a multistatus.
std::string response_xml(const Described& resource, const PropfindRequest& request);
/// "2023-11-14T22:13:20Z"
std::string iso_date(int64_t unix_ns);

inline constexpr std::string_view kMultistatusHead =
    "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:multistatus xmlns:D=\"DAV:\">\n";
inline constexpr std::string_view kMultistatusTail = "</D:multistatus>\n";

}  // namespace aster::webdav
