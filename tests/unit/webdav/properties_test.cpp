#include "server/webdav/properties.h"

#include <gtest/gtest.h>

namespace aster::webdav {
namespace {

TEST(Properties, attributes_of_a_mount_do_not_spoil_an_answer) {
  const std::string name = attribute_of({"urn:z", "a"});
  EXPECT_EQ(name, "user.dav.{urn:z}a");
  EXPECT_TRUE(is_property({name, R"(<a xmlns="urn:z">x</a>)"}));
  EXPECT_FALSE(is_property({name, R"(<b xmlns="urn:z">x</b>)"})) << "another name";
  EXPECT_FALSE(is_property({name, "</D:prop>"}));
  EXPECT_FALSE(is_property({name, "plain"}));
  EXPECT_FALSE(is_property({"user.dav.{urn:z}a b", "<a/>"}));
}

TEST(Properties, what_is_computed_cannot_be_set) {
  for (const char* local : {"getetag", "lockdiscovery", "resourcetype", "quota-used-bytes"}) {
    EXPECT_TRUE(is_protected({"DAV:", local})) << local;
  }
  EXPECT_FALSE(is_protected({"DAV:", "getcontentlanguage"}));
  EXPECT_FALSE(is_protected({"urn:z", "getetag"}));
}

TEST(Properties, a_response_has_what_was_found_and_what_was_missed) {
  Described file{.href = "/webdav/a%20b", .name = "a b"};
  file.attr.ino = InodeNo(7);
  file.attr.data_version = 2;
  file.attr.size = 5;
  PropfindRequest request;
  request.kind = PropfindRequest::Kind::some;
  request.wanted = {{"DAV:", "getcontentlength"}, {"urn:z", "x"}, {"DAV:", "resourcetype"}};
  EXPECT_EQ(response_xml(file, request),
            "<D:response><D:href>/webdav/a%20b</D:href><D:propstat><D:prop>"
            "<D:getcontentlength>5</D:getcontentlength><D:resourcetype/></D:prop>"
            "<D:status>HTTP/1.1 200 OK</D:status></D:propstat><D:propstat><D:prop>"
            "<x xmlns=\"urn:z\"/></D:prop><D:status>HTTP/1.1 404 Not Found</D:status>"
            "</D:propstat></D:response>\n");
  file.attr.type = fs::FileType::directory;
  EXPECT_NE(response_xml(file, request).find("<D:collection/>"), std::string::npos);
  request.kind = PropfindRequest::Kind::names;
  request.wanted.clear();
  EXPECT_NE(response_xml(file, request).find("<D:creationdate/>"), std::string::npos);
}

}  // namespace
}  // namespace aster::webdav
