#include <fstream>

#include "protocol/checksum.h"
#include "protocol/client/curl_http_client.h"
#include "tests/integration/follower_fixture.h"
#include "tests/support/s3_server.h"

/// 1 GiB through a follower into a bucket and back: whole, and in little memory.
namespace aster::testing {
namespace {

constexpr uint64_t kSize = 1ull << 30;
// Two parts of 8 MiB, pieces under way, the program itself (15 MiB).
constexpr uint64_t kMostMemory = 96ull << 20;

/// Bytes that differ everywhere, without a copy of them all.
class Pattern final : public ByteSource {
 public:
  Task<Result<size_t>> read(std::span<std::byte> buffer) override {
    const size_t n = static_cast<size_t>(std::min<uint64_t>(buffer.size(), kSize - at_));
    for (size_t i = 0; i < n; ++i, ++at_) {
      buffer[i] = static_cast<std::byte>((at_ * 2654435761u) >> 13);
    }
    digest_.update(ByteView(buffer).first(n));
    co_return n;
  }
  std::string digest() { return to_hex(digest_.finish()); }

 private:
  uint64_t at_ = 0;
  Sha256 digest_;
};

class DigestSink final : public ByteSink {
 public:
  Task<Result<void>> write(ByteView piece) override {
    digest_.update(piece);
    co_return ok();
  }
  std::string digest() { return to_hex(digest_.finish()); }

 private:
  Sha256 digest_;
};

/// Most memory that the process ever had, bytes.
uint64_t peak_memory(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  std::string word;
  while (status >> word) {
    if (word != "VmHWM:") continue;
    uint64_t kib = 0;
    status >> kib;
    return kib << 10;
  }
  return UINT64_MAX;
}

class S3Stream : public FollowerProcess {
 protected:
  std::string url(std::string_view method) {
    const std::string path = peer_->presign(method, "/objects/large", 3600);
    return "http://127.0.0.1:" + std::to_string(peer_->options().port) +
           peer_->target({.path = path});
  }
};

TEST_F(S3Stream, goes_both_ways_in_little_memory) {
  if (const auto why = S3Server::missing()) GTEST_SKIP() << *why;
  const auto server = S3Server::start();
  ASSERT_NE(server, nullptr);
  prepare();
  start();
  const auto made = peer_->json("POST", "/targets",
                                R"({"driver_type":"s3","name":"b","base_path":".","endpoint":")" +
                                    server->endpoint() + R"(","bucket":")" + S3Server::kBucket +
                                    R"(","access_key":")" + S3Server::kAccessKey +
                                    R"(","secret_key":")" + S3Server::kSecretKey + "\"}");
  ASSERT_EQ(conformance::member(conformance::data_of(made), "last_error"), "") << made.body;

  Executor executor({.name = "test", .threads = 2});
  CurlHttpClient http({}, executor);
  const auto pattern = std::make_shared<Pattern>();
  const auto put = run_blocking(http.send({.method = "PUT",
                                           .url = url("PUT"),
                                           .source = pattern,
                                           .source_length = kSize,
                                           .total_timeout = std::chrono::minutes(20)}));
  ASSERT_TRUE(put.ok()) << put.error().message();
  ASSERT_EQ(put->status, 200) << as_text(put->body.view());
  const std::string digest = pattern->digest();
  EXPECT_EQ(*find_header(put->headers, "ETag"), "\"" + digest + "\"");
  EXPECT_EQ(std::filesystem::file_size(server->bucket_folder() / "space-1/large"), kSize);
  const uint64_t after_put = peak_memory(process_->pid());

  const auto sink = std::make_shared<DigestSink>();
  const auto got = run_blocking(
      http.send({.url = url("GET"), .sink = sink, .total_timeout = std::chrono::minutes(20)}));
  ASSERT_TRUE(got.ok()) << got.error().message();
  ASSERT_EQ(got->status, 200);
  EXPECT_EQ(got->body_length, kSize);
  EXPECT_EQ(sink->digest(), digest);
  const uint64_t peak = peak_memory(process_->pid());
  std::printf("peak memory of the follower: %llu MiB after PUT, %llu MiB after GET\n",
              static_cast<unsigned long long>(after_put >> 20),
              static_cast<unsigned long long>(peak >> 20));
  EXPECT_LT(peak, kMostMemory);
}

}  // namespace
}  // namespace aster::testing
