#include "server/storage/s3_client.h"

#include <gtest/gtest.h>

#include "server/storage/s3_target.h"
#include "tests/support/fake_http_client.h"

/// Answers that a healthy server does not give.
namespace aster::storage {
namespace {

using Seen = testing::FakeHttpClient::Seen;

constexpr char kUploadId[] =
    "<InitiateMultipartUploadResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
    "<UploadId>u-1</UploadId></InitiateMultipartUploadResult>";

std::string error_xml(const std::string& code, const std::string& more = {}) {
  return "<?xml version=\"1.0\"?><Error><Code>" + code + "</Code>" + more + "</Error>";
}

class S3ClientTest : public ::testing::Test {
 protected:
  std::shared_ptr<S3Target> target() {
    return *S3Target::open({.endpoint = "http://s3.test",
                            .bucket = "data",
                            .access_key = "AKEY",
                            .secret_key = "very-secret",
                            .part_size = 10},
                           {http_, executor_, *tasks_, memory_});
  }
  Result<void> upload(const std::string& text) {
    const auto driver = target();
    auto staged = run_blocking(driver->stage("k", text.size()));
    Result<void> written = run_blocking((*staged)->write(as_bytes(text)));
    if (!written.ok()) return written;
    return run_blocking((*staged)->commit());
  }
  size_t count(const std::string& method, const std::string& part) {
    size_t found = 0;
    for (const Seen& seen : http_.requests()) {
      found += seen.method == method && seen.url.find(part) != std::string::npos;
    }
    return found;
  }
  /// Until what goes on in the background has ended.
  void settle() { tasks_ = std::make_unique<TaskGroup>(); }
  /// begin, abort and parts work; `complete` answers the rest.
  void serve(std::function<Result<HttpClientResponse>(const Seen&)> other) {
    http_.otherwise([other](const Seen& seen) -> Result<HttpClientResponse> {
      using Fake = testing::FakeHttpClient;
      if (seen.method == "POST" && seen.url.ends_with("?uploads="))
        return Fake::made(200, kUploadId);
      if (seen.method == "DELETE") return Fake::made(204);
      if (seen.method == "PUT" && seen.url.find("partNumber=1&") != std::string::npos) {
        return Fake::made(200, "", {{"ETag", "\"one\""}});
      }
      return other(seen);
    });
  }

  testing::FakeHttpClient http_;
  Executor executor_{{.name = "test", .threads = 2}};
  AsyncBudget memory_{executor_, 1 << 20};
  std::unique_ptr<TaskGroup> tasks_ = std::make_unique<TaskGroup>();
};

TEST_F(S3ClientTest, a_part_that_fails_for_good_aborts_the_upload_and_completes_nothing) {
  serve([](const Seen&) { return testing::FakeHttpClient::made(403, error_xml("AccessDenied")); });
  EXPECT_TRUE(upload("0123456789abcdefghij-").failed_with(Errc::access_denied));
  settle();
  EXPECT_EQ(count("DELETE", "uploadId=u-1"), 1u);
  EXPECT_EQ(count("POST", "uploadId=u-1"), 0u);
  EXPECT_EQ(memory_.in_use(), 0u);
}

TEST_F(S3ClientTest, a_part_is_sent_again_after_passing_failures) {
  int failures = 0;
  serve([&failures](const Seen& seen) -> Result<HttpClientResponse> {
    using Fake = testing::FakeHttpClient;
    if (seen.method == "POST") return Fake::made(200, "<CompleteMultipartUploadResult/>");
    if (++failures == 1) return Fake::made(500, error_xml("InternalError"));
    if (failures == 2) return Fake::made(503, error_xml("SlowDown"));
    return Fake::made(200, "", {{"ETag", "\"two\""}});
  });
  const Result<void> outcome = upload("0123456789abcdefghij");
  EXPECT_TRUE(outcome.ok()) << outcome.error().message();
  settle();
  EXPECT_EQ(count("PUT", "partNumber=2&"), 3u);
  EXPECT_EQ(count("DELETE", ""), 0u);
}

TEST_F(S3ClientTest, a_failure_in_the_body_of_a_200_is_one) {
  serve([](const Seen& seen) {
    using Fake = testing::FakeHttpClient;
    if (seen.method == "POST") return Fake::made(200, error_xml("InternalError"));
    return Fake::made(200, "", {{"ETag", "\"two\""}});
  });
  EXPECT_FALSE(upload("0123456789abcdefghij").ok());
  settle();
  EXPECT_EQ(count("DELETE", "uploadId=u-1"), 1u);
}

TEST_F(S3ClientTest, a_completion_whose_answer_was_lost_is_recognised) {
  int completions = 0;
  serve([&completions](const Seen& seen) -> Result<HttpClientResponse> {
    using Fake = testing::FakeHttpClient;
    if (seen.method == "HEAD") return Fake::made(200, "", {{"Content-Length", "20"}});
    if (seen.method != "POST") return Fake::made(200, "", {{"ETag", "\"two\""}});
    if (++completions == 1) return fail(Errc::unavailable, "lost");
    return Fake::made(404, error_xml("NoSuchUpload"));
  });
  const Result<void> outcome = upload("0123456789abcdefghij");
  EXPECT_TRUE(outcome.ok()) << outcome.error().message();
}

TEST_F(S3ClientTest, a_completion_of_an_upload_that_is_gone_fails) {
  serve([](const Seen& seen) {
    using Fake = testing::FakeHttpClient;
    if (seen.method == "POST") return Fake::made(404, error_xml("NoSuchUpload"));
    return Fake::made(200, "", {{"ETag", "\"two\""}});
  });
  EXPECT_FALSE(upload("0123456789abcdefghij").ok());
}

TEST_F(S3ClientTest, follows_the_region_that_the_service_names) {
  http_.answer(400, error_xml("AuthorizationHeaderMalformed", "<Region>eu-far-9</Region>"));
  http_.answer(204);
  http_.answer(204);
  S3Client client(http_, executor_, *S3Address::parse("http://s3.test", "data"), "AKEY", "secret");
  EXPECT_TRUE(run_blocking(client.remove("k")).ok());
  EXPECT_TRUE(run_blocking(client.remove("k")).ok());
  const auto seen = http_.requests();
  ASSERT_EQ(seen.size(), 3u);
  for (size_t i : {1u, 2u}) {
    const std::string* proof = find_header(seen[i].headers, "Authorization");
    ASSERT_NE(proof, nullptr);
    EXPECT_NE(proof->find("/eu-far-9/s3/"), std::string::npos);
  }
}

TEST_F(S3ClientTest, a_404_that_is_not_of_s3_is_no_missing_object) {
  http_.otherwise([](const Seen&) {
    return testing::FakeHttpClient::made(404, "<html>default backend</html>");
  });
  const auto driver = target();
  EXPECT_FALSE(run_blocking(driver->stat("k")).failed_with(Errc::not_found));
  const auto object = run_blocking(driver->open("k"));
  EXPECT_FALSE(object.failed_with(Errc::not_found));
}

TEST_F(S3ClientTest, errors_repeat_no_identity) {
  http_.otherwise([](const Seen&) {
    return testing::FakeHttpClient::made(
        403, error_xml("AccessDenied", "<Message>no such key AKEY</Message>"));
  });
  S3Client client(http_, executor_, *S3Address::parse("http://s3.test", "data"), "AKEY", "secret");
  const auto outcome = run_blocking(client.remove("k"));
  ASSERT_TRUE(outcome.failed_with(Errc::access_denied));
  EXPECT_EQ(outcome.error().context.find("AKEY"), std::string::npos);
  EXPECT_NE(outcome.error().context.find("AccessDenied"), std::string::npos);
}

TEST_F(S3ClientTest, a_service_that_ignores_ranges_gives_no_wrong_bytes) {
  http_.answer(200, "", {{"Content-Length", "10"}, {"ETag", "\"e\""}});
  http_.otherwise([](const Seen&) { return testing::FakeHttpClient::made(200, "0123456789"); });
  const auto driver = target();
  const auto object = run_blocking(driver->open("k"));
  ASSERT_TRUE(object.ok());
  std::byte piece[16];
  const auto source = object->stream(5, 2);
  EXPECT_TRUE(run_blocking(source->read(piece)).failed_with(Errc::io_error));
}

TEST_F(S3ClientTest, a_listing_that_does_not_go_on_ends) {
  http_.otherwise([](const Seen&) {
    return testing::FakeHttpClient::made(
        200,
        "<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>p/a</Key></Contents>"
        "</ListBucketResult>");
  });
  EXPECT_TRUE(run_blocking(target()->list("p", 0, 100)).failed_with(Errc::io_error));
}

TEST_F(S3ClientTest, copies_through_itself_where_the_service_cannot) {
  http_.otherwise([](const Seen& seen) -> Result<HttpClientResponse> {
    using Fake = testing::FakeHttpClient;
    if (seen.method == "HEAD") {
      return Fake::made(200, "", {{"Content-Length", "4"}, {"ETag", "\"e\""}});
    }
    if (seen.method == "GET") {
      return Fake::made(206, "part", {{"Content-Range", "bytes 0-3/4"}});
    }
    if (find_header(seen.headers, "x-amz-copy-source")) {
      return Fake::made(501, error_xml("NotImplemented"));
    }
    return Fake::made(200);
  });
  const auto written = run_blocking(target()->compose("w", {"p"}, {.expected_size = 4}));
  ASSERT_TRUE(written.ok()) << written.error().message();
  bool stored = false;
  for (const Seen& seen : http_.requests()) {
    stored =
        stored || (seen.method == "PUT" && seen.url.ends_with("/data/w") && seen.body == "part");
  }
  EXPECT_TRUE(stored);
}

}  // namespace
}  // namespace aster::storage
