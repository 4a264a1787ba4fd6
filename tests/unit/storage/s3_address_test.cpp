#include "server/storage/s3_address.h"

#include <gtest/gtest.h>

namespace aster::storage {
namespace {

std::string url(std::string_view endpoint, std::string_view bucket = "data", QueryList query = {}) {
  const auto address = S3Address::parse(endpoint, bucket);
  return address.ok() ? address->url("k", std::move(query)) : address.error().message();
}
std::string region(std::string_view endpoint) {
  const auto address = S3Address::parse(endpoint, "data");
  return address.ok() ? address->region() : address.error().message();
}

TEST(S3Address, takes_paths_everywhere_but_at_aws) {
  EXPECT_EQ(url("http://127.0.0.1:9000"), "http://127.0.0.1:9000/data/k");
  EXPECT_EQ(url("https://S3.example.com/base/"), "https://s3.example.com/base/data/k");
  EXPECT_EQ(url("https://s3.eu-west-1.amazonaws.com"), "https://data.s3.eu-west-1.amazonaws.com/k");
  EXPECT_EQ(url("https://s3.amazonaws.com", "with.dot"), "https://s3.amazonaws.com/with.dot/k");
  EXPECT_EQ(url("https://data.s3.amazonaws.com"), "https://data.s3.amazonaws.com/k");
}

TEST(S3Address, does_what_the_endpoint_says) {
  EXPECT_EQ(url("https://s3.example.com?style=virtual"), "https://data.s3.example.com/k");
  EXPECT_EQ(url("https://s3.amazonaws.com?style=path&region=x"), "https://s3.amazonaws.com/data/k");
  EXPECT_EQ(url("https://data.example.com"), "https://data.example.com/data/k");
}

TEST(S3Address, finds_the_region) {
  EXPECT_EQ(region("https://s3.eu-west-1.amazonaws.com"), "eu-west-1");
  EXPECT_EQ(region("https://s3.dualstack.eu-west-1.amazonaws.com"), "eu-west-1");
  EXPECT_EQ(region("https://s3-us-west-2.amazonaws.com"), "us-west-2");
  EXPECT_EQ(region("https://s3.cn-north-1.amazonaws.com.cn"), "cn-north-1");
  EXPECT_EQ(region("https://s3.amazonaws.com"), "us-east-1");
  EXPECT_EQ(region("http://127.0.0.1:9000"), "us-east-1");
  EXPECT_EQ(region("http://127.0.0.1:9000?region=garage"), "garage");
}

TEST(S3Address, refuses_what_it_cannot_use) {
  for (const char* endpoint :
       {"", " ", "s3.example.com", "ftp://s3.example.com", "https://key:secret@s3.example.com",
        "https://s3.example.com?zone=1", "https://s3.example.com?style=odd",
        "https://s3.example.com?region=a/b", "https://s3.example.com?region="}) {
    const auto address = S3Address::parse(endpoint, "data");
    ASSERT_TRUE(address.failed_with(Errc::bad_request)) << endpoint;
    EXPECT_EQ(address.error().context.find("secret"), std::string::npos) << endpoint;
  }
  for (const char* bucket : {"", "ab", "a/b/c", "a b c", "up..down", "x?y=z"}) {
    EXPECT_TRUE(S3Address::parse("https://s3.example.com", bucket).failed_with(Errc::bad_request))
        << bucket;
  }
  EXPECT_TRUE(S3Address::parse("https://s3.example.com?style=virtual", "With_Odd.Name")
                  .failed_with(Errc::bad_request));
}

TEST(S3Address, urls_are_canonical) {
  const auto address = S3Address::parse("http://h", "data");
  EXPECT_EQ(address->url("a b/c+d%~é", {}), "http://h/data/a%20b/c%2Bd%25~%C3%A9");
  EXPECT_EQ(address->url("", {{"uploads", ""}, {"prefix", "a/b c"}, {"max-keys", "2"}}),
            "http://h/data/?max-keys=2&prefix=a%2Fb%20c&uploads=");
  EXPECT_EQ(address->copy_source("a b/ü"), "/data/a%20b/%C3%BC");
}

}  // namespace
}  // namespace aster::storage
