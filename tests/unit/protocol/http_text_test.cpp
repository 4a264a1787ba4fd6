#include "protocol/http_text.h"

#include <gtest/gtest.h>

#include "protocol/base_url.h"
#include "protocol/object_key.h"

namespace aster {
namespace {

TEST(PercentDecode, decodes_once_and_keeps_plus) {
  EXPECT_EQ(*percent_decode("a%2520+b"), "a%20+b");
  EXPECT_TRUE(percent_decode("%zz").failed_with(Errc::bad_request));
  EXPECT_TRUE(percent_decode("abc%2").failed_with(Errc::bad_request));
  EXPECT_TRUE(percent_decode("%").failed_with(Errc::bad_request));
  EXPECT_TRUE(percent_decode("%ff").failed_with(Errc::bad_request));
}

TEST(FormEncode, is_undone_by_decode) {
  const QueryList query = {{"prefix", "base/dir a+b%/\xE7\x8C\xAB~*-._!'()"}, {"empty", ""}};
  EXPECT_EQ(form_encode(query[0].second), "base%2Fdir+a%2Bb%25%2F%E7%8C%AB%7E*-._%21%27%28%29");
  EXPECT_EQ(*form_decode_query(form_encode(query)), query);
  EXPECT_EQ(*form_decode_query("&&flag&x=1&x=2"),
            (QueryList{{"flag", ""}, {"x", "1"}, {"x", "2"}}));
  EXPECT_FALSE(form_decode_query("a=%q").ok());
}

TEST(Numbers, are_read_whole_or_not_at_all) {
  EXPECT_EQ(parse_decimal<uint64_t>("18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(parse_decimal<uint64_t>("18446744073709551616"), std::nullopt);
  EXPECT_EQ(parse_decimal<int64_t>("-5"), -5);
  for (const char* bad : {"", "+", "-", "+-5", "5x", " 5", "5 ", "0x5"}) {
    EXPECT_EQ(parse_decimal<int64_t>(bad), std::nullopt) << bad;
  }
}

TEST(ObjectKey, hostile_keys_are_refused) {
  using namespace std::string_view_literals;
  EXPECT_FALSE(normalize_key("a\0b"sv).ok());
  EXPECT_FALSE(normalize_key("a\xff").ok());
  EXPECT_FALSE(normalize_base_path("a\0b"sv).ok());
  EXPECT_FALSE(encode_key("../../x").ok());
  EXPECT_FALSE(encode_key("a\\..\\..\\x").ok());
  EXPECT_FALSE(encode_key("a\0"sv).ok());
  EXPECT_EQ(*encode_key("a/.."), "");
  EXPECT_EQ(*encode_key("a/b/."), "a/b/");
}

TEST(TargetKey, is_trimmed_and_one_segment) {
  EXPECT_EQ(encode_target_key(" rst_1/../x "), "rst_1%2F..%2Fx");
}

TEST(BaseUrl, refuses_what_is_no_plain_http) {
  for (const char* bad : {"http://", "http:///x", "http://u:p@h", "file:///etc", "http://h:99999",
                          "//h", "http://h h", "javascript:alert(1)"}) {
    EXPECT_FALSE(normalize_base_url(bad).ok()) << bad;
  }
  EXPECT_FALSE(normalize_master_url("  ").ok());
  EXPECT_EQ(*normalize_master_url("HTTP://H:8080/A/"), "http://h:8080/A");
  EXPECT_EQ(*normalize_base_url("http://[::1]:3000/"), "http://[::1]:3000");
}

TEST(BaseUrl, is_split_into_origin_and_path) {
  const BaseUrl url = split_base_url("https://h:8443/nodes/a");
  EXPECT_EQ(url.origin, "https://h:8443");
  EXPECT_EQ(url.path, "/nodes/a");
  EXPECT_EQ(split_base_url("http://h").path, "");
}

TEST(Origin, is_scheme_host_and_port_only) {
  EXPECT_EQ(*normalize_origin(" HTTPS://Drive.example.com:443/ "), "https://drive.example.com");
  for (const char* bad :
       {"null", "*", "", "https://h/p", "https://u@h", "https://h?q", "ftp://h"}) {
    EXPECT_FALSE(normalize_origin(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace aster
