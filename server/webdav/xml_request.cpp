#include "server/webdav/xml_request.h"

#include <optional>
#include <pugixml.hpp>

#include "protocol/http_text.h"
#include "server/webdav/xml_text.h"

namespace aster::webdav {
namespace {

constexpr std::string_view kXmlSpace = "http://www.w3.org/XML/1998/namespace";

Error malformed(std::string what) {
  return fail(Errc::bad_request, "XML: " + std::move(what));
}

struct QName {
  std::string_view prefix;
  std::string_view local;
};

QName split_name(std::string_view name) {
  const size_t colon = name.find(':');
  if (colon == std::string_view::npos) return {{}, name};
  return {name.substr(0, colon), name.substr(colon + 1)};
}

/// The URI that a prefix stands for at `node`; nullopt when nothing declares it.
std::optional<std::string_view> space_of(pugi::xml_node node, std::string_view prefix) {
  if (prefix == "xml") return kXmlSpace;
  const std::string attribute = prefix.empty() ? "xmlns" : "xmlns:" + std::string(prefix);
  for (; node.type() == pugi::node_element; node = node.parent()) {
    if (const pugi::xml_attribute found = node.attribute(attribute.c_str())) return found.value();
  }
  if (prefix.empty()) return std::string_view();
  return std::nullopt;
}

Result<PropertyName> name_of(pugi::xml_node element) {
  const QName name = split_name(element.name());
  const auto space = space_of(element, name.prefix);
  if (!space) return malformed("a prefix that nothing declares");
  return PropertyName{std::string(*space), std::string(name.local)};
}

bool is_element(pugi::xml_node node) {
  return node.type() == pugi::node_element;
}

bool is_dav(pugi::xml_node node, std::string_view local) {
  if (!is_element(node)) return false;
  const auto name = name_of(node);
  return name.ok() && name->space == kDav && name->local == local;
}

pugi::xml_node dav_child(pugi::xml_node parent, std::string_view local) {
  for (const pugi::xml_node child : parent.children()) {
    if (is_dav(child, local)) return child;
  }
  return {};
}

bool is_ncname(std::string_view name) {
  if (name.empty() || name.find(':') != std::string_view::npos) return false;
  const auto first = static_cast<unsigned char>(name.front());
  return first >= 0x80 || std::isalpha(first) || first == '_';
}

Result<void> check_attribute(pugi::xml_node element, pugi::xml_attribute attribute) {
  const QName name = split_name(attribute.name());
  if (!is_xml_text(attribute.name()) || !is_xml_text(attribute.value())) {
    return malformed("characters that XML does not have");
  }
  if (!is_ncname(name.local)) return malformed("an attribute's name");
  if (name.prefix == "xmlns" && *attribute.value() == '\0') {
    return malformed("a prefix that stands for nothing");
  }
  if (name.prefix.empty() || name.prefix == "xmlns") return ok();
  if (!space_of(element, name.prefix)) return malformed("a prefix that nothing declares");
  return ok();
}

Result<void> check_element(pugi::xml_node element) {
  if (!is_xml_text(element.name())) return malformed("characters that XML does not have");
  ASTER_TRY(const PropertyName name, name_of(element));
  if (!is_ncname(name.local)) return malformed("an element's name");
  for (const pugi::xml_attribute attribute : element.attributes()) {
    ASTER_TRY(check_attribute(element, attribute));
  }
  return ok();
}

/// Walks the tree with bounds, without recursion, before anything recursive touches it.
struct Checker : pugi::xml_tree_walker {
  bool for_each(pugi::xml_node& node) override {
    if (depth() > kXmlDepthMax || ++elements > kXmlElementsMax) {
      outcome = malformed("too deep or too many elements");
    } else if (node.type() == pugi::node_doctype) {
      outcome = malformed("a document type is not accepted");
    } else if (is_element(node)) {
      outcome = check_element(node);
    } else if (!is_xml_text(node.value())) {
      outcome = malformed("characters that XML does not have");
    }
    return outcome.ok();
  }
  size_t elements = 0;
  Result<void> outcome;
};

/// The one root element, checked.
Result<pugi::xml_node> parse(pugi::xml_document& document, std::string_view xml) {
  const unsigned options = pugi::parse_default | pugi::parse_doctype | pugi::parse_ws_pcdata;
  const auto parsed = document.load_buffer(xml.data(), xml.size(), options);
  if (!parsed) return malformed(parsed.description());
  Checker checker;
  document.traverse(checker);
  ASTER_TRY(checker.outcome);
  const pugi::xml_node element = document.document_element();
  for (pugi::xml_node next = element.next_sibling(); next; next = next.next_sibling()) {
    if (is_element(next)) return malformed("more than one root element");
  }
  return element;
}

Result<pugi::xml_node> parse(pugi::xml_document& document, std::string_view xml,
                             std::string_view root) {
  ASTER_TRY(const pugi::xml_node element, parse(document, xml));
  if (!is_dav(element, root)) return malformed("this needs a DAV: " + std::string(root));
  return element;
}

/// Writes an element so that it means the same wherever it is put.
void write_element(std::string& out, pugi::xml_node element, std::string_view space_around,
                   std::string_view extra) {
  const PropertyName name = name_of(element).value();  // checked
  out += "<" + name.local;
  if (name.space != space_around) out += " xmlns=\"" + xml_escape(name.space) + "\"";
  int number = 0;
  for (const pugi::xml_attribute attribute : element.attributes()) {
    const QName q = split_name(attribute.name());
    if (q.prefix == "xmlns" || (q.prefix.empty() && q.local == "xmlns")) continue;
    std::string written(q.local);
    if (q.prefix == "xml") {
      written = "xml:" + written;
    } else if (!q.prefix.empty()) {
      const std::string prefix = "a" + std::to_string(++number);
      out += " xmlns:" + prefix + "=\"" + xml_escape(*space_of(element, q.prefix)) + "\"";
      written = prefix + ":" + written;
    }
    out += " " + written + "=\"" + xml_escape(attribute.value()) + "\"";
  }
  out += extra;
  if (!element.first_child()) {
    out += "/>";
    return;
  }
  out += ">";
  for (const pugi::xml_node child : element.children()) {
    if (is_element(child)) {
      write_element(out, child, name.space, {});
    } else {
      out += xml_escape(child.value());
    }
  }
  out += "</" + name.local + ">";
}

/// The language that holds at an element, as an attribute, unless the element says its own.
std::string inherited_language(pugi::xml_node element) {
  if (element.attribute("xml:lang")) return {};
  for (pugi::xml_node at = element.parent(); is_element(at); at = at.parent()) {
    if (const auto found = at.attribute("xml:lang")) {
      return " xml:lang=\"" + xml_escape(found.value()) + "\"";
    }
  }
  return {};
}

Result<void> read_changes(pugi::xml_node update, std::vector<PropertyChange>& out) {
  const bool remove = is_dav(update, "remove");
  if (!remove && !is_dav(update, "set")) return ok();
  const pugi::xml_node prop = dav_child(update, "prop");
  if (!prop) return malformed("set and remove need a prop");
  for (const pugi::xml_node element : prop.children()) {
    if (!is_element(element)) continue;
    PropertyChange change;
    ASTER_TRY(change.name, name_of(element));
    change.remove = remove;
    change.text = trim(element.text().get());
    // Never inside another default namespace: it stands alone.
    write_element(change.xml, element, "\n", inherited_language(element));
    out.push_back(std::move(change));
  }
  return ok();
}

Result<void> read_names(pugi::xml_node prop, std::vector<PropertyName>& out) {
  for (const pugi::xml_node element : prop.children()) {
    if (!is_element(element)) continue;
    ASTER_TRY(PropertyName name, name_of(element));
    out.push_back(std::move(name));
  }
  return ok();
}

}  // namespace

Result<PropfindRequest> parse_propfind(std::string_view xml) {
  PropfindRequest request;
  if (xml.empty()) return request;
  pugi::xml_document document;
  ASTER_TRY(const pugi::xml_node root, parse(document, xml, "propfind"));
  const pugi::xml_node prop = dav_child(root, "prop");
  const pugi::xml_node all = dav_child(root, "allprop");
  const pugi::xml_node names = dav_child(root, "propname");
  if (static_cast<int>(!prop.empty()) + !all.empty() + !names.empty() != 1) {
    return malformed("propfind has one of prop, allprop and propname");
  }
  if (names) request.kind = PropfindRequest::Kind::names;
  if (prop) request.kind = PropfindRequest::Kind::some;
  ASTER_TRY(read_names(prop ? prop : dav_child(root, "include"), request.wanted));
  return request;
}

Result<std::vector<PropertyChange>> parse_proppatch(std::string_view xml) {
  pugi::xml_document document;
  ASTER_TRY(const pugi::xml_node root, parse(document, xml, "propertyupdate"));
  std::vector<PropertyChange> changes;
  for (const pugi::xml_node update : root.children()) ASTER_TRY(read_changes(update, changes));
  if (changes.empty()) return malformed("a propertyupdate that changes nothing");
  return changes;
}

Result<PropertyName> parse_property(std::string_view xml) {
  pugi::xml_document document;
  ASTER_TRY(const pugi::xml_node root, parse(document, xml));
  if (!xml.starts_with('<') || xml.starts_with("<?")) return malformed("no bare element");
  return name_of(root);
}

Result<LockRequest> parse_lock(std::string_view xml) {
  pugi::xml_document document;
  ASTER_TRY(const pugi::xml_node root, parse(document, xml, "lockinfo"));
  const pugi::xml_node scope = dav_child(root, "lockscope");
  const bool exclusive = !dav_child(scope, "exclusive").empty();
  LockRequest request;
  request.shared = !dav_child(scope, "shared").empty();
  if (exclusive == request.shared) return malformed("a lock is exclusive or shared");
  if (!dav_child(dav_child(root, "locktype"), "write")) return malformed("only write locks exist");
  if (const pugi::xml_node owner = dav_child(root, "owner")) {
    write_element(request.owner_xml, owner, "\n", inherited_language(owner));
  }
  return request;
}

}  // namespace aster::webdav
