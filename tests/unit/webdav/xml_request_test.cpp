#include "server/webdav/xml_request.h"

#include <gtest/gtest.h>

#include "server/webdav/xml_text.h"

namespace aster::webdav {
namespace {

TEST(ParsePropfind, reads_each_kind) {
  EXPECT_EQ(parse_propfind("")->kind, PropfindRequest::Kind::all);
  EXPECT_EQ(parse_propfind(R"(<propfind xmlns="DAV:"><allprop/></propfind>)")->kind,
            PropfindRequest::Kind::all);
  EXPECT_EQ(parse_propfind(R"(<D:propfind xmlns:D="DAV:"><D:propname/></D:propfind>)")->kind,
            PropfindRequest::Kind::names);
  const auto some =
      parse_propfind(R"(<?xml version="1.0"?><!-- c --><D:propfind xmlns:D="DAV:" xmlns:z="urn:z">)"
                     R"(<D:prop><D:getetag/><z:a/><b xmlns="urn:b"/><c/></D:prop></D:propfind>)");
  ASSERT_TRUE(some.ok()) << some.error().message();
  EXPECT_EQ(some->wanted, (std::vector<PropertyName>{
                              {"DAV:", "getetag"}, {"urn:z", "a"}, {"urn:b", "b"}, {"", "c"}}));
  const auto more = parse_propfind(
      R"(<propfind xmlns="DAV:"><allprop/><include><quota-used-bytes/></include></propfind>)");
  ASSERT_EQ(more->wanted.size(), 1u);
}

TEST(ParsePropfind, refuses_what_is_not_well_formed_or_not_meant) {
  const std::string deep = [] {
    std::string xml = R"(<propfind xmlns="DAV:"><prop>)";
    for (int i = 0; i < kXmlDepthMax; ++i) xml += "<a>";
    for (int i = 0; i < kXmlDepthMax; ++i) xml += "</a>";
    return xml + "</prop></propfind>";
  }();
  std::string many = R"(<propfind xmlns="DAV:"><prop>)";
  for (size_t i = 0; i < kXmlElementsMax; ++i) many += "<a/>";
  many += "</prop></propfind>";
  for (const std::string& xml : std::vector<std::string>{
           "x", "<a>", "<propfind/>", R"(<propfind xmlns="DAV:"/>)",
           R"(<propfind xmlns="DAV:"><prop/><allprop/></propfind>)",
           R"(<propfind xmlns="DAV:"><prop><x:a/></prop></propfind>)",
           R"(<propfind xmlns="DAV:"><prop><b:a xmlns:b=""/></prop></propfind>)",
           R"(<propfind xmlns="DAV:"><prop>&#1;</prop></propfind>)",
           "<propfind xmlns=\"DAV:\"><prop>\xff</prop></propfind>",
           R"(<!DOCTYPE x><propfind xmlns="DAV:"><prop/></propfind>)",
           R"(<propfind xmlns="DAV:"><prop/></propfind><propfind xmlns="DAV:"/>)",
           R"(<propfind xmlns="DAV:"><prop><a:b:c xmlns:a="u"/></prop></propfind>)", deep, many}) {
    EXPECT_TRUE(parse_propfind(xml).failed_with(Errc::bad_request)) << xml.substr(0, 100);
  }
}

TEST(ParseProppatch, keeps_order_and_makes_values_stand_alone) {
  const auto changes = parse_proppatch(
      R"(<D:propertyupdate xmlns:D="DAV:" xmlns:z="urn:z" xml:lang="en"><D:set><D:prop>)"
      R"(<z:a z:k="1&quot;">t &lt; <z:b/><c xmlns="urn:c">x</c></z:a></D:prop></D:set>)"
      R"(<D:remove><D:prop><z:d/></D:prop></D:remove></D:propertyupdate>)");
  ASSERT_TRUE(changes.ok()) << changes.error().message();
  ASSERT_EQ(changes->size(), 2u);
  EXPECT_EQ((*changes)[0].name, (PropertyName{"urn:z", "a"}));
  EXPECT_EQ((*changes)[0].xml, R"(<a xmlns="urn:z" xmlns:a1="urn:z" a1:k="1&quot;" xml:lang="en">)"
                               R"(t &lt; <b/><c xmlns="urn:c">x</c></a>)");
  EXPECT_FALSE((*changes)[0].remove);
  EXPECT_TRUE((*changes)[1].remove);
  const auto again = parse_property((*changes)[0].xml);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*again, (*changes)[0].name);
}

TEST(ParseProppatch, a_property_without_a_namespace_says_so) {
  const auto changes = parse_proppatch(
      R"(<D:propertyupdate xmlns:D="DAV:"><D:set><D:prop><a>x</a></D:prop></D:set></D:propertyupdate>)");
  ASSERT_TRUE(changes.ok());
  EXPECT_EQ((*changes)[0].xml, R"(<a xmlns="">x</a>)");
  EXPECT_EQ((*changes)[0].text, "x");
}

TEST(ParseLock, reads_scope_and_owner) {
  const auto lock = parse_lock(
      R"(<D:lockinfo xmlns:D="DAV:"><D:lockscope><D:shared/></D:lockscope><D:locktype><D:write/>)"
      R"(</D:locktype><D:owner><D:href>http://ann</D:href></D:owner></D:lockinfo>)");
  ASSERT_TRUE(lock.ok());
  EXPECT_TRUE(lock->shared);
  EXPECT_EQ(lock->owner_xml, R"(<owner xmlns="DAV:"><href>http://ann</href></owner>)");
  EXPECT_TRUE(parse_lock(R"(<lockinfo xmlns="DAV:"><locktype><write/></locktype></lockinfo>)")
                  .failed_with(Errc::bad_request));
  EXPECT_TRUE(parse_lock(R"(<lockinfo xmlns="DAV:"><lockscope><shared/></lockscope></lockinfo>)")
                  .failed_with(Errc::bad_request));
}

TEST(ParseProperty, is_exactly_one_element) {
  EXPECT_TRUE(parse_property("<a/>").ok());
  for (const char* xml : {"", "a", "<a/><b/>", "<a>", "<?xml version=\"1.0\"?><a/>", "</a>"}) {
    EXPECT_FALSE(parse_property(xml).ok()) << xml;
  }
}

TEST(XmlEscape, what_xml_cannot_carry_is_replaced) {
  EXPECT_EQ(xml_escape("a<&>\"\xc3\xa9"), "a&lt;&amp;&gt;&quot;\xc3\xa9");
  EXPECT_EQ(xml_escape("\xff\x01z"), "\xef\xbf\xbd\xef\xbf\xbdz");
  EXPECT_TRUE(is_xml_text(xml_escape(std::string("\0\xc3(\xef\xbf\xbf", 6))));
}

}  // namespace
}  // namespace aster::webdav
