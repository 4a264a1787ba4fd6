#include "server/webdav/if_header.h"

#include <gtest/gtest.h>

namespace aster::webdav {
namespace {

TEST(IfHeader, reads_lists_with_and_without_resources) {
  const auto plain = parse_if_header("(<urn:a> [\"tag\"]) (Not <DAV:no-lock>)");
  ASSERT_TRUE(plain.ok());
  ASSERT_EQ(plain->size(), 2u);
  EXPECT_EQ((*plain)[0].conditions[0].value, "urn:a");
  EXPECT_TRUE((*plain)[0].conditions[1].is_tag);
  EXPECT_EQ((*plain)[0].conditions[1].value, "\"tag\"");
  EXPECT_TRUE((*plain)[1].conditions[0].negated);
  EXPECT_FALSE((*plain)[0].resource);

  const auto tagged = parse_if_header("<http://h/a> (<t1>) ([W/\"x\"]) <http://h/b> (Not [\"y\"])");
  ASSERT_TRUE(tagged.ok());
  ASSERT_EQ(tagged->size(), 3u);
  EXPECT_EQ((*tagged)[1].resource, "http://h/a");
  EXPECT_EQ((*tagged)[2].resource, "http://h/b");
}

TEST(IfHeader, refuses_everything_else) {
  for (const char* text :
       {"", " ", "()", "(<a>", "<a>", "(<>)", "(a)", "([tag])", "([\"])", "(<a>) <b> (<c>)",
        "<a> <b> (<c>)", "(Not)", "(<a>) x", "((<a>))", "(<a>) <b>"}) {
    EXPECT_TRUE(parse_if_header(text).failed_with(Errc::bad_request)) << text;
  }
  std::string many = "(";
  for (int i = 0; i < 1001; ++i) many += "<a>";
  EXPECT_TRUE(parse_if_header(many + ")").failed_with(Errc::bad_request));
}

}  // namespace
}  // namespace aster::webdav
