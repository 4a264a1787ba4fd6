#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"

/// Bodies of WebDAV requests. No document type is accepted, so there are no entities but the five
/// of XML itself and characters by number; depth and number of elements are bounded, and whoever
/// read the body has bounded its size. Whatever is wrong is bad_request. What comes out is UTF-8
/// that XML can carry.
namespace aster::webdav {

inline constexpr std::string_view kDav = "DAV:";
inline constexpr int kXmlDepthMax = 64;
inline constexpr size_t kXmlElementsMax = 10'000;

struct PropertyName {
  std::string space;  ///< namespace URI; may be empty
  std::string local;
  friend auto operator<=>(const PropertyName&, const PropertyName&) = default;
};

struct PropfindRequest {
  enum class Kind { all, names, some } kind = Kind::all;
  std::vector<PropertyName> wanted;  ///< of `some`, and what `all` is to include besides
};
/// An empty body asks for everything.
Result<PropfindRequest> parse_propfind(std::string_view xml);

struct PropertyChange {
  PropertyName name;
  bool remove = false;
  std::string xml;   ///< the whole element, with every namespace it needs
  std::string text;  ///< its text
};
/// In document order.
Result<std::vector<PropertyChange>> parse_proppatch(std::string_view xml);

/// The name of the one element that `xml` is, if it could stand in an answer as it is.
Result<PropertyName> parse_property(std::string_view xml);

struct LockRequest {
  bool shared = false;
  std::string owner_xml;  ///< the owner element, self-contained; may be empty
};
Result<LockRequest> parse_lock(std::string_view xml);

}  // namespace aster::webdav
