#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <random>
#include <string>

#include "protocol/client/curl_http_client.h"
#include "server/storage/local_target.h"
#include "server/storage/object_store.h"
#include "server/storage/s3_target.h"
#include "tests/support/s3_server.h"
#include "tests/support/temp_dir.h"

namespace aster::testing {

/// A body in memory that gives odd pieces, and fails at its end when that is wished.
class TextSource final : public ByteSource {
 public:
  explicit TextSource(std::string text, std::optional<Error> failure = std::nullopt)
      : text_(std::move(text)), failure_(std::move(failure)) {}
  Task<Result<size_t>> read(std::span<std::byte> buffer) override {
    const size_t n = std::min({buffer.size(), text_.size() - at_, size_t{100'003}});
    if (n == 0 && failure_) co_return *failure_;
    if (n > 0) std::memcpy(buffer.data(), text_.data() + at_, n);
    at_ += n;
    co_return n;
  }

 private:
  const std::string text_;
  const std::optional<Error> failure_;
  size_t at_ = 0;
};

inline std::string noise(size_t size, unsigned seed) {
  std::mt19937_64 random(seed);
  std::string out(size, 0);
  size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    const uint64_t word = random();
    std::memcpy(out.data() + i, &word, 8);
  }
  for (; i < size; ++i) out[i] = static_cast<char>(random());
  return out;
}

/// What an S3 target needs around it.
class S3Runtime {
 public:
  storage::S3Services services() { return {http_, executor_, *tasks_, memory_}; }
  /// Until everything in the background has ended.
  void settle() { tasks_ = std::make_unique<storage::TaskGroup>(); }

  Executor& executor() { return executor_; }
  uint64_t memory_in_use() const { return memory_.in_use(); }

 private:
  Executor executor_{{.name = "s3", .threads = 4}};
  AsyncBudget memory_{executor_, 24 << 20};
  CurlHttpClient http_{{}, executor_};
  std::unique_ptr<storage::TaskGroup> tasks_ = std::make_unique<storage::TaskGroup>();
};

/// A place that the contract is tested on: it makes the target and knows what must not be left.
class LocalPlace {
 public:
  static std::optional<std::string> missing() { return std::nullopt; }
  std::shared_ptr<storage::IngressTarget> open() {
    auto opened =
        storage::LocalTarget::open({.root = (dir_ / "root").string(), .base = "t"}, *executor_);
    if (opened.ok()) return *opened;
    ADD_FAILURE() << opened.error().message();
    return nullptr;
  }
  /// Unfinished uploads, once everything in the background has ended.
  size_t leftovers() {
    size_t count = 0;
    executor_ = std::make_unique<Executor>(Executor::Options{.name = "disk", .threads = 4});
    for (const auto& entry : std::filesystem::directory_iterator(dir_ / "root/t/.aster-tmp")) {
      count += entry.is_regular_file();
    }
    return count;
  }

 private:
  TempDir dir_;
  std::unique_ptr<Executor> executor_ =
      std::make_unique<Executor>(Executor::Options{.name = "disk", .threads = 4});
};

class S3Place {
 public:
  static std::optional<std::string> missing() { return S3Server::missing(); }
  /// One server for the whole program; each place has a prefix of its own there.
  static S3Server& server() {
    static const std::unique_ptr<S3Server> once = S3Server::start();
    if (!once) throw std::runtime_error("no S3 server");
    return *once;
  }
  storage::S3Target::Options options() const {
    return {.endpoint = server().endpoint(),
            .bucket = S3Server::kBucket,
            .access_key = S3Server::kAccessKey,
            .secret_key = S3Server::kSecretKey,
            .prefix = prefix_,
            .part_size = 5 << 20};
  }
  std::shared_ptr<storage::S3Target> open_with(storage::S3Target::Options options) {
    auto opened = storage::S3Target::open(std::move(options), runtime_.services());
    if (opened.ok()) return *opened;
    ADD_FAILURE() << opened.error().message();
    return nullptr;
  }
  std::shared_ptr<storage::IngressTarget> open() { return open_with(options()); }
  size_t leftovers() {
    runtime_.settle();
    EXPECT_EQ(runtime_.memory_in_use(), 0u);
    return server().open_uploads();
  }
  S3Runtime& runtime() { return runtime_; }
  std::filesystem::path folder() const { return server().bucket_folder() / prefix_; }

 private:
  static std::string next_prefix() {
    static int count = 0;
    return "base " + std::to_string(++count) + "+ü";
  }
  const std::string prefix_ = next_prefix();
  S3Runtime runtime_;
};

/// Objects on one place, by run_blocking.
template <class Place>
class Objects {
 public:
  Objects() : target_(place_.open()) {}

  Place& place() { return place_; }
  storage::IngressTarget& target() { return *target_; }
  void use(std::shared_ptr<storage::IngressTarget> target) { target_ = std::move(target); }
  storage::ObjectStore store() { return {target_, "ns", executor_}; }
  /// Drops the target and counts what is left of uploads.
  size_t leftovers() {
    target_.reset();
    const size_t left = place_.leftovers();
    target_ = place_.open();
    return left;
  }

  Result<std::string> put(const std::string& key, const std::string& text,
                          std::optional<uint32_t> crc = std::nullopt) {
    return run_blocking(store().put(key, std::make_shared<TextSource>(text), {text.size(), crc}));
  }
  Result<std::string> range(const std::string& key, uint64_t offset, uint64_t length) {
    auto opened = run_blocking(store().open(key));
    if (!opened.ok()) return opened.error();
    return read(*opened, offset, length);
  }
  /// The whole object, or "(error)".
  std::string get(const std::string& key) {
    auto opened = run_blocking(store().open(key));
    if (!opened.ok()) return "(" + opened.error().message() + ")";
    auto text = read(*opened, 0, opened->size);
    return text.ok() ? *text : "(" + text.error().message() + ")";
  }
  static Result<std::string> read(const storage::OpenObject& object, uint64_t offset,
                                  uint64_t length) {
    std::string out(length, 0);
    if (object.fd) {
      const ssize_t n =
          ::pread(object.fd.get(), out.data(), out.size(), static_cast<off_t>(offset));
      out.resize(static_cast<size_t>(std::max<ssize_t>(n, 0)));
      return out;
    }
    const auto source = object.stream(offset, length);
    size_t at = 0;
    for (;;) {
      std::byte piece[65'536];
      const auto n = run_blocking(source->read(piece));
      if (!n.ok()) return n.error();
      if (*n == 0) break;
      if (at + *n > out.size()) return fail(Errc::io_error, "more than asked for");
      std::memcpy(out.data() + at, piece, *n);
      at += *n;
    }
    out.resize(at);
    return out;
  }
  std::vector<std::string> keys(const std::string& prefix = "") {
    auto listed = run_blocking(store().list(prefix, 0, std::nullopt));
    if (!listed.ok()) return {"(" + listed.error().message() + ")"};
    return listed->items;
  }
  Result<uint64_t> compose(const std::string& key, std::vector<std::string> parts, uint64_t size,
                           bool keep = false) {
    return run_blocking(
        store().compose(key, std::move(parts), {.expected_size = size, .keep_parts = keep}));
  }

 private:
  Executor executor_{{.name = "digest", .threads = 2}};
  Place place_;
  std::shared_ptr<storage::IngressTarget> target_;
};

}  // namespace aster::testing
