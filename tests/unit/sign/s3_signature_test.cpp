#include "protocol/sign/s3_signature.h"

#include <gtest/gtest.h>

#include "protocol/checksum.h"

namespace aster::sign {
namespace {

// The examples that the S3 documentation publishes for Signature Version 4 in the Authorization
// header ("Transferring Payload in a Single Chunk").
constexpr int64_t kDay = 1369353600;  // 2013-05-24T00:00:00Z
constexpr char kHost[] = "https://examplebucket.s3.amazonaws.com";
constexpr char kNothing[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

S3Identity identity() {
  return {.access_key = "AKIAIOSFODNN7EXAMPLE",
          .secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
          .region = "us-east-1"};
}

std::string authorization(std::string_view method, const std::string& target, S3Headers headers,
                          std::string_view digest = kNothing) {
  const std::string url = kHost + target;
  return sign_s3(identity(), {method, url, std::move(headers), digest}, kDay).back().second;
}

constexpr char kCredential[] =
    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, ";

TEST(S3Signature, of_a_ranged_get_is_the_published_one) {
  EXPECT_EQ(authorization("GET", "/test.txt", {{"Range", "bytes=0-9"}}),
            std::string(kCredential) +
                "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
                "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST(S3Signature, of_a_put_is_the_published_one) {
  const std::string digest = to_hex(sha256(as_bytes("Welcome to Amazon S3.")));
  EXPECT_EQ(authorization("PUT", "/test%24file.text",
                          {{"Date", "Fri, 24 May 2013 00:00:00 GMT"},
                           {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
                          digest),
            std::string(kCredential) +
                "SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class, "
                "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

TEST(S3Signature, of_a_query_without_value_is_the_published_one) {
  EXPECT_EQ(authorization("GET", "/?lifecycle=", {}),
            std::string(kCredential) +
                "SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
                "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
}

TEST(S3Signature, of_a_listing_is_the_published_one) {
  EXPECT_EQ(authorization("GET", "/?max-keys=2&prefix=J", {}),
            std::string(kCredential) +
                "SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
                "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

// libcurl 7.88 gets this one wrong.
TEST(S3Signature, sorts_headers_by_name_when_one_begins_like_the_other) {
  const std::string text = authorization(
      "PUT", "/x", {{"x-amz-copy-source-range", "bytes=0-1"}, {"x-amz-copy-source", "/b/k"}});
  EXPECT_NE(text.find("SignedHeaders=host;x-amz-content-sha256;x-amz-copy-source;"
                      "x-amz-copy-source-range;x-amz-date,"),
            std::string::npos)
      << text;
}

TEST(S3Signature, ignores_blanks_and_case_that_proxies_may_change) {
  EXPECT_EQ(authorization("GET", "/k", {{"X-Amz-Meta-A", "  a   b "}}),
            authorization("GET", "/k", {{"x-amz-meta-a", "a b"}}));
}

TEST(S3Signature, depends_on_everything_that_is_sent) {
  const std::string before = authorization("GET", "/k?a=1", {{"Range", "bytes=0-9"}});
  EXPECT_NE(before, authorization("PUT", "/k?a=1", {{"Range", "bytes=0-9"}}));
  EXPECT_NE(before, authorization("GET", "/K?a=1", {{"Range", "bytes=0-9"}}));
  EXPECT_NE(before, authorization("GET", "/k?a=2", {{"Range", "bytes=0-9"}}));
  EXPECT_NE(before, authorization("GET", "/k?a=1", {{"Range", "bytes=0-8"}}));
  EXPECT_NE(before, authorization("GET", "/k?a=1", {{"Range", "bytes=0-9"}}, "00"));
}

TEST(S3Signature, sends_the_secret_in_no_header) {
  for (const auto& [name, value] : sign_s3(identity(), {"GET", kHost, {}, kNothing}, kDay)) {
    EXPECT_EQ(value.find(identity().secret_key), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace aster::sign
