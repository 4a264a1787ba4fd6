#include "server/primary/token_scope.h"

#include <gtest/gtest.h>

namespace aster::primary {
namespace {

TEST(TokenScope, reads_places_of_both_kinds) {
  const auto own = parse_place("/a//b c/");
  ASSERT_TRUE(own.ok());
  EXPECT_EQ(own->workspace, "");
  EXPECT_EQ(own->path, (std::vector<std::string>{"a", "b c"}));
  EXPECT_EQ(to_text(*own), "/a/b c");
  const auto team = parse_place("team:crew/x");
  ASSERT_TRUE(team.ok());
  EXPECT_EQ(team->workspace, "team:crew");
  EXPECT_EQ(to_text(*team), "team:crew/x");
  EXPECT_EQ(to_text(*parse_place("team:crew")), "team:crew");
  EXPECT_EQ(to_text(*parse_place("/")), "/");
}

TEST(TokenScope, refuses_what_is_no_place) {
  for (const char* text : {"", "a", "a/b", "team:", "team:/a", "/a/../b", "/.", "/a/./b"}) {
    EXPECT_TRUE(parse_place(text).failed_with(Errc::bad_request)) << text;
  }
  EXPECT_TRUE(parse_place("/" + std::string(256, 'a')).failed_with(Errc::name_too_long));
  EXPECT_TRUE(parse_place(std::string(5000, '/')).failed_with(Errc::name_too_long));
}

TEST(TokenScope, comes_back_from_its_stored_form) {
  TokenScope scope;
  EXPECT_EQ(encode(scope), "");
  EXPECT_TRUE(decode_token_scope("")->whole());
  scope.read_only = true;
  scope.places = {*parse_place("/a \"b\""), *parse_place("team:x")};
  const auto back = decode_token_scope(encode(scope));
  ASSERT_TRUE(back.ok()) << back.error().message();
  EXPECT_TRUE(back->read_only);
  ASSERT_EQ(back->places.size(), 2u);
  EXPECT_EQ(to_text(back->places[0]), "/a \"b\"");
  EXPECT_EQ(to_text(back->places[1]), "team:x");
}

TEST(TokenScope, a_limit_that_is_not_understood_is_no_freedom) {
  for (const char* text :
       {"{}", "[]", "x", R"({"read_only":true})", R"({"read_only":true,"paths":[],"hours":"9-17"})",
        R"({"read_only":false,"paths":["nowhere"]})"}) {
    EXPECT_FALSE(decode_token_scope(text).ok()) << text;
  }
}

}  // namespace
}  // namespace aster::primary
