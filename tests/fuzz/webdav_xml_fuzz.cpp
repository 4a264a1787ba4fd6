#include "server/webdav/if_header.h"
#include "server/webdav/xml_request.h"
#include "server/webdav/xml_text.h"
#include "tests/fuzz/fuzz.h"

void fuzz_one(std::string_view input) {
  using namespace aster::webdav;
  if (const auto request = parse_propfind(input); request.ok()) {
    for (const PropertyName& name : request->wanted) {
      EXPECT(is_xml_text(name.space) && is_xml_text(name.local) && !name.local.empty());
    }
  }
  if (const auto changes = parse_proppatch(input); changes.ok()) {
    // What is stored must stand in an answer later, and mean the same.
    for (const PropertyChange& change : *changes) {
      const auto again = parse_property(change.xml);
      EXPECT(again.ok() && *again == change.name);
    }
  }
  if (const auto lock = parse_lock(input); lock.ok() && !lock->owner_xml.empty()) {
    EXPECT(parse_property(lock->owner_xml).ok());
  }
  (void)parse_property(input);
  (void)parse_if_header(input);
  EXPECT(is_xml_text(xml_escape(input)));
}
