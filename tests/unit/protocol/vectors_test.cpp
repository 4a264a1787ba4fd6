// Drives everything but signatures from tests/data/vectors.json.
#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <map>

#include "protocol/base_url.h"
#include "protocol/byte_range.h"
#include "protocol/http_text.h"
#include "protocol/object_key.h"
#include "protocol/version.h"
#include "tests/support/vectors.h"

namespace aster {
namespace {

using testing::text;

std::string storage_namespace() {
  return text(testing::vectors().at("about").at("storage_namespace"));
}

void expect_path(const Result<std::string>& got, const boost::json::value& wanted) {
  if (wanted == "rejected") {
    EXPECT_TRUE(got.failed_with(Errc::bad_request));
  } else {
    ASSERT_TRUE(got.ok()) << got.error().message();
    EXPECT_EQ(*got, text(wanted));
  }
}

TEST(Vectors, object_keys_and_prefixes_are_normalised) {
  EXPECT_EQ(testing::vectors("object_key_normalization").size(), 41u);
  for (const auto& v : testing::vectors("object_key_normalization")) {
    const std::string input = text(v.at("input"));
    SCOPED_TRACE(input);
    const auto normal = normalize_key(input);
    if (v.at("normalized").is_null()) {
      EXPECT_TRUE(normal.failed_with(Errc::bad_request));
    } else {
      ASSERT_TRUE(normal.ok());
      EXPECT_EQ(*normal, text(v.at("normalized")));
    }
    expect_path(object_path(storage_namespace(), input), v.at("object_result"));
    expect_path(prefix_path(storage_namespace(), input), v.at("prefix_result"));
  }
}

TEST(Vectors, path_tails_are_decoded_once) {
  for (const auto& v : testing::vectors("path_tail_decoding")) {
    SCOPED_TRACE(text(v.at("path_tail")));
    const auto decoded = percent_decode(text(v.at("path_tail")));
    ASSERT_TRUE(decoded.ok());
    EXPECT_EQ(*decoded, text(v.at("decoded")));
    expect_path(object_path(storage_namespace(), *decoded), v.at("object_result"));
    const auto normal = normalize_key(*decoded);
    EXPECT_EQ(normal.ok(), !v.at("normalized").is_null());
    if (!normal.ok()) continue;
    EXPECT_EQ(*normal, text(v.at("normalized")));
  }
}

TEST(Vectors, keys_are_encoded_like_the_reference_client) {
  EXPECT_EQ(testing::vectors("client_key_encoding").size(), 22u);
  for (const auto& v : testing::vectors("client_key_encoding")) {
    const auto encoded = encode_key(text(v.at("key")));
    ASSERT_TRUE(encoded.ok()) << text(v.at("key"));
    EXPECT_EQ(*encoded, text(v.at("path_tail")));
  }
}

TEST(Vectors, local_base_paths_are_normalised) {
  for (const auto& v : testing::vectors("local_base_path_normalization")) {
    SCOPED_TRACE(text(v.at("input")));
    const auto got = normalize_base_path(text(v.at("input")));
    if (v.at("normalized").is_null()) {
      ASSERT_FALSE(got.ok());
      EXPECT_EQ(info(got.error().code).text, text(v.at("error_code")));
      EXPECT_EQ(got.error().http_status(), 400);
    } else {
      ASSERT_TRUE(got.ok());
      EXPECT_EQ(*got, text(v.at("normalized")));
    }
  }
}

TEST(Vectors, base_urls_are_normalised) {
  for (const auto& v : testing::vectors("base_url_normalization")) {
    SCOPED_TRACE(text(v.at("input")));
    const auto got = normalize_base_url(text(v.at("input")));
    ASSERT_EQ(got.ok(), !v.at("rejected").as_bool());
    if (!got.ok()) continue;
    EXPECT_EQ(*got, text(v.at("normalized")));
  }
}

std::optional<uint64_t> number(const boost::json::value& v) {
  if (v.is_null()) return std::nullopt;
  return v.to_number<uint64_t>();
}

void check_range(const boost::json::value& v) {
  const auto header =
      v.at("header").is_null() ? std::nullopt : std::optional<std::string>(text(v.at("header")));
  const uint64_t size = *number(v.at("size"));
  const auto got = resolve_range(
      {.header = header, .offset = number(v.at("offset")), .length = number(v.at("length"))}, size);
  switch (v.at("http").as_int64()) {
    case 200:
      ASSERT_TRUE(got.ok());
      EXPECT_FALSE(got->has_value());
      break;
    case 206: {
      ASSERT_TRUE(got.ok() && got->has_value());
      const ByteRange range = got->value();
      EXPECT_EQ(range.offset, number(v.at("start")));
      EXPECT_EQ(range.last(), number(v.at("end")));
      EXPECT_EQ(range.length, number(v.at("content_length")));
      EXPECT_EQ(content_range(range, size), text(v.at("content_range")));
      const auto back = parse_content_range(text(v.at("content_range")));
      ASSERT_TRUE(back.has_value());
      EXPECT_EQ(back->range, range);
      EXPECT_EQ(back->size, size);
      break;
    }
    default:
      ASSERT_FALSE(got.ok());
      EXPECT_EQ(info(got.error().code).text, text(v.at("error_code")));
      EXPECT_EQ(info(got.error().code).number, v.at("error_code_v1_v3").as_int64());
      EXPECT_EQ(got.error().http_status(), 400);
  }
}

TEST(Vectors, ranges_are_resolved) {
  EXPECT_EQ(testing::vectors("range").size(), 42u);
  for (const auto& v : testing::vectors("range")) {
    SCOPED_TRACE(boost::json::serialize(v));
    check_range(v);
  }
}

TEST(Vectors, protocol_versions_are_negotiated) {
  const std::map<std::string, Negotiation> results = {{"ok", Negotiation::ok},
                                                      {"incompatible", Negotiation::incompatible},
                                                      {"inverted", Negotiation::inverted},
                                                      {"invalid", Negotiation::invalid}};
  for (const auto& v : testing::vectors("protocol_negotiation")) {
    SCOPED_TRACE(boost::json::serialize(v));
    const ProtocolRange local{v.at("local_min").to_number<uint16_t>(),
                              v.at("local_max").to_number<uint16_t>()};
    EXPECT_EQ(negotiate(local, text(v.at("remote_protocol_version")),
                        text(v.at("remote_min_supported_protocol_version"))),
              results.at(text(v.at("result"))));
  }
}

}  // namespace
}  // namespace aster
