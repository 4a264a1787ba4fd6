#include "server/content/path.h"

#include <gtest/gtest.h>

namespace aster::content {
namespace {

Result<Path> decode(std::string_view raw) {
  return decode_path(raw);
}

TEST(DecodePath, takes_escapes_off_once_and_keeps_every_byte) {
  EXPECT_EQ(*decode("/a%20b/c"), (Path{"a b", "c"}));
  EXPECT_EQ(*decode("/%2561"), (Path{"%61"}));
  EXPECT_EQ(*decode("/%FF%01x"), (Path{"\xff\x01x"}));
  EXPECT_EQ(*decode("/a+b"), (Path{"a+b"}));
  EXPECT_EQ(*decode("/x/..."), (Path{"x", "..."}));
}

TEST(DecodePath, empty_segments_count_as_nothing) {
  EXPECT_TRUE(decode("")->empty());
  EXPECT_TRUE(decode("/")->empty());
  EXPECT_EQ(*decode("//a///b/"), (Path{"a", "b"}));
}

TEST(DecodePath, tricks_are_refused) {
  for (const char* trick : {"/..", "/a/../b", "/%2e%2e/etc", "/.", "/%2E", "/a%2Fb", "/a%00b", "/%",
                            "/%4", "/%zz", "/a/%2e./..%2f"}) {
    EXPECT_TRUE(decode(trick).failed_with(Errc::bad_request)) << trick;
  }
  EXPECT_TRUE(decode("/" + std::string(256, 'x')).failed_with(Errc::name_too_long));
  EXPECT_TRUE(decode("/" + std::string(255, 'x')).ok());
  std::string deep;
  for (int i = 0; i < 5000; ++i) deep += "/a";
  EXPECT_TRUE(decode(deep).failed_with(Errc::name_too_long));
}

TEST(EncodePath, is_undone_by_decode) {
  std::string every;
  for (int c = 1; c < 256; ++c) {
    if (c != '/') every += static_cast<char>(c);
  }
  const Path path{every.substr(0, 127), every.substr(127), "%41", "a b"};
  EXPECT_EQ(*decode_path(encode_path(path)), path);
  EXPECT_EQ(encode_path({"a b", "\xc3\xa9&<"}), "/a%20b/%C3%A9%26%3C");
  EXPECT_EQ(encode_path({}), "");
}

TEST(IsWithin, a_path_is_within_itself_and_its_ancestors) {
  EXPECT_TRUE(is_within({"a", "b"}, {"a"}));
  EXPECT_TRUE(is_within({"a"}, {"a"}));
  EXPECT_TRUE(is_within({"a"}, {}));
  EXPECT_FALSE(is_within({"ab"}, {"a"}));
  EXPECT_FALSE(is_within({"a"}, {"a", "b"}));
}

}  // namespace
}  // namespace aster::content
