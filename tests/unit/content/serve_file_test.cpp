#include "server/content/serve_file.h"

#include <gtest/gtest.h>

namespace aster::content {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

class ServeFile : public ::testing::Test {
 protected:
  ServeFile() {
    file.ino = InodeNo(5);
    file.data_version = 3;
    file.size = 100;
    file.mtime = 784111777 * kSecond + 5;
  }
  Verdict judge(HeaderList headers, std::string method = "GET", bool exists = true) {
    http::Request request;
    request.method = std::move(method);
    request.headers = std::move(headers);
    return judge_conditions(request, exists ? &file : nullptr);
  }
  WantedPart part(const std::string& range, HeaderList more = {}) {
    http::Request request;
    request.headers = std::move(more);
    request.headers.emplace_back("Range", range);
    return wanted_part(request, file);
  }
  fs::Attr file;
};

TEST_F(ServeFile, dates_are_read_in_all_three_forms) {
  EXPECT_EQ(http_date(file.mtime), "Sun, 06 Nov 1994 08:49:37 GMT");
  for (const char* text : {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                           "Sun Nov  6 08:49:37 1994"}) {
    EXPECT_EQ(parse_http_date(text), 784111777) << text;
  }
  EXPECT_FALSE(parse_http_date("yesterday"));
  EXPECT_FALSE(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT and more"));
}

TEST_F(ServeFile, tags_decide_before_dates) {
  const std::string own = etag_of(file);
  EXPECT_EQ(judge({{"If-Match", own}}), Verdict::go_on);
  EXPECT_EQ(judge({{"If-Match", "\"x\", " + own}}, "PUT"), Verdict::go_on);
  EXPECT_EQ(judge({{"If-Match", "W/" + own}}), Verdict::precondition_failed);
  EXPECT_EQ(judge({{"If-Match", "*"}}, "PUT", false), Verdict::precondition_failed);
  EXPECT_EQ(judge({{"If-None-Match", "*"}}, "PUT"), Verdict::precondition_failed);
  EXPECT_EQ(judge({{"If-None-Match", "*"}}, "PUT", false), Verdict::go_on);
  EXPECT_EQ(judge({{"If-None-Match", "W/" + own}}), Verdict::not_modified);
  EXPECT_EQ(
      judge({{"If-None-Match", "\"x\""}, {"If-Modified-Since", "Sun, 06 Nov 2094 08:49:37 GMT"}}),
      Verdict::go_on);
  EXPECT_EQ(judge({{"If-Modified-Since", http_date(file.mtime)}}), Verdict::not_modified);
  EXPECT_EQ(judge({{"If-Modified-Since", http_date(file.mtime)}}, "PUT"), Verdict::go_on);
  EXPECT_EQ(judge({{"If-Modified-Since", http_date(file.mtime - kSecond)}}), Verdict::go_on);
  EXPECT_EQ(judge({{"If-Unmodified-Since", http_date(file.mtime)}}), Verdict::go_on);
  EXPECT_EQ(judge({{"If-Unmodified-Since", http_date(file.mtime - kSecond)}}),
            Verdict::precondition_failed);
  EXPECT_EQ(judge({{"If-Unmodified-Since", "nonsense"}}), Verdict::go_on);
}

TEST_F(ServeFile, one_range_is_cut_to_the_file) {
  const auto check = [&](const std::string& range, uint64_t offset, uint64_t length) {
    const WantedPart got = part(range);
    EXPECT_TRUE(got.partial && !got.unsatisfiable) << range;
    EXPECT_EQ(got.offset, offset) << range;
    EXPECT_EQ(got.length, length) << range;
  };
  check("bytes=0-4", 0, 5);
  check("bytes=99-", 99, 1);
  check("bytes=90-1000", 90, 10);
  check("bytes=-10", 90, 10);
  check("bytes=-1000", 0, 100);
  check("bytes=0-18446744073709551615", 0, 100);
  EXPECT_TRUE(part("bytes=100-").unsatisfiable);
  EXPECT_TRUE(part("bytes=-0").unsatisfiable);
  file.size = 0;
  EXPECT_TRUE(part("bytes=0-0").unsatisfiable);
}

TEST_F(ServeFile, what_is_no_single_range_counts_as_none) {
  for (const char* range : {"bytes=5-4", "bytes=", "bytes=-", "bytes=a-b", "bytes=0-1,5-6",
                            "items=0-1", "bytes=+1-5", "bytes=99999999999999999999-"}) {
    const WantedPart got = part(range);
    EXPECT_FALSE(got.partial || got.unsatisfiable) << range;
    EXPECT_EQ(got.length, file.size) << range;
  }
}

TEST_F(ServeFile, if_range_of_another_version_gives_the_whole) {
  EXPECT_TRUE(part("bytes=0-4", {{"If-Range", etag_of(file)}}).partial);
  EXPECT_FALSE(part("bytes=0-4", {{"If-Range", "\"other\""}}).partial);
  EXPECT_FALSE(part("bytes=0-4", {{"If-Range", "W/" + etag_of(file)}}).partial);
  EXPECT_TRUE(part("bytes=0-4", {{"If-Range", http_date(file.mtime)}}).partial);
  EXPECT_FALSE(part("bytes=0-4", {{"If-Range", http_date(file.mtime - kSecond)}}).partial);
}

TEST_F(ServeFile, media_types_go_by_the_ending) {
  EXPECT_EQ(content_type_of("a.TXT"), "text/plain");
  EXPECT_EQ(content_type_of("a.tar.gz"), "application/gzip");
  EXPECT_EQ(content_type_of("txt"), "application/octet-stream");
}

}  // namespace
}  // namespace aster::content
