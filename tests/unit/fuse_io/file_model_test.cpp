#include <gtest/gtest.h>

#include <list>
#include <set>
#include <thread>

#include "drive.h"

namespace aster::testing {
namespace {

/// Random operations on one file beside a plain string, with flushes that go on meanwhile.
class Model {
 public:
  Model(uint64_t seed, DriveOptions options)
      : random_(seed), drive_(options), attr_(drive_.primary.create()), file_(drive_.open(attr_)) {
    drive_.primary.part_size = 256 << 10;
    drive_.primary.extents_per_answer = 20;
    drive_.follower.set_hook(
        [this](const FakeFollower::Exchange& exchange) { return trouble(exchange); });
  }

  void run(int operations) {
    for (int i = 0; i < operations; ++i) {
      step();
      if (::testing::Test::HasFatalFailure()) FAIL() << "at operation " << i;
    }
    while (!flushes_.empty()) finish_flush(flushes_.begin());
    calm_ = true;
    ASSERT_TRUE(flush(*file_, true).ok());
    ASSERT_TRUE(drive_.primary.content(attr_.ino) == expected_);
    ASSERT_FALSE(file_->dirty());
    // An upload of what was overwritten or cut off since may still be under way.
    ASSERT_TRUE(eventually([this] { return drive_.io->stats().dirty_bytes == 0; }));
    ASSERT_EQ(drive_.follower.reused_names(), 0u);
    drive_.cache.clear();
    check_read(*drive_.open(drive_.primary.attr(attr_.ino)), 0, kMiB * 8);
  }

 private:
  /// A flush under way: what it promises, and what may have replaced it meanwhile.
  struct Flush {
    std::future<Result<void>> result;
    std::string promised;
    std::vector<std::pair<uint64_t, std::string>> later;
    bool resized = false;
  };
  using Flushes = std::list<Flush>;

  std::optional<Result<HttpClientResponse>> trouble(const FakeFollower::Exchange& exchange) {
    const uint64_t dice = dice_.fetch_add(0x9E3779B97F4A7C15ull) >> 32;
    if (calm_ || dice % 12 != 0) return std::nullopt;
    if (exchange.method == "GET") return fail(Errc::unavailable, "bad luck");
    return FakeFollower::answer(503);
  }
  void check_read(FileContent& file, uint64_t offset, uint64_t length) {
    const auto bytes = read(file, offset, length, ahead_);
    ASSERT_TRUE(bytes.ok()) << bytes.error().message();
    const std::string wanted =
        offset < expected_.size() ? expected_.substr(offset, length) : std::string();
    ASSERT_TRUE(bytes.value() == wanted) << "read at " << offset << " of " << length;
  }
  void note_change(uint64_t offset, const std::string& bytes) {
    for (Flush& one : flushes_) one.later.emplace_back(offset, bytes);
  }
  void write_some(uint64_t offset, uint64_t length) {
    const std::string bytes = random_bytes(random_, length);
    ASSERT_TRUE(write(*file_, offset, bytes).ok());
    if (expected_.size() < offset + length) expected_.resize(offset + length);
    expected_.replace(offset, length, bytes);
    note_change(offset, bytes);
  }
  void resize(uint64_t size) {
    ASSERT_TRUE(truncate(*file_, attr_.ino, size).ok());
    expected_.resize(size);
    for (Flush& one : flushes_) one.resized = true;
  }
  void finish_flush(Flushes::iterator one) {
    const Result<void> result = one->result.get();
    if (result.ok() && !one->resized) {
      const std::string committed = drive_.primary.content(attr_.ino);
      ASSERT_GE(committed.size(), one->promised.size());
      for (size_t i = 0; i < one->promised.size(); ++i) {
        if (committed[i] == one->promised[i]) continue;
        const bool replaced =
            std::any_of(one->later.begin(), one->later.end(), [&](const auto& write) {
              return i >= write.first && i - write.first < write.second.size() &&
                     write.second[i - write.first] == committed[i];
            });
        ASSERT_TRUE(replaced) << "byte " << i << " was promised and is not there";
      }
    }
    flushes_.erase(one);
  }
  void step() {
    const uint64_t offset = random_() % (2 * kMiB);
    const uint64_t length = 1 + random_() % (random_() % 4 == 0 ? 400'000 : 9'000);
    switch (random_() % 16) {
      case 0:
        if (flushes_.size() < 3) {
          flushes_.push_back(
              {in_background(file_->flush(random_() % 2 == 0)), expected_, {}, false});
        }
        break;
      case 1:
        if (!flushes_.empty()) finish_flush(flushes_.begin());
        break;
      case 2: return resize(random_() % (3 * kMiB));
      case 3: {
        const std::string bytes = random_bytes(random_, length);
        const uint64_t at = expected_.size();
        ASSERT_EQ(run_blocking(file_->append(Bytes::from_string(bytes))).value(), at);
        expected_ += bytes;
        note_change(at, bytes);
        break;
      }
      case 4:
        if (random_() % 3 == 0) drive_.primary.compose(attr_.ino);
        break;
      case 5:
        if (random_() % 3 == 0) file_->invalidate();
        break;
      case 6: return check_read(*file_, offset, kMiB);
      case 7:
      case 8: {  // sequential, for the read-ahead
        check_read(*file_, position_, 60'000);
        position_ = position_ + 60'000 < expected_.size() ? position_ + 60'000 : 0;
        break;
      }
      case 9:
        if (expected_.size() < 6 * kMiB) return write_some(expected_.size(), length);
        break;
      case 10:
        file_->observe(drive_.primary.attr(attr_.ino));
        ASSERT_EQ(file_->overlay(drive_.primary.attr(attr_.ino)).size, expected_.size());
        break;
      default: return write_some(offset, length);
    }
  }

  std::mt19937_64 random_;
  std::atomic<uint64_t> dice_ = 1;
  std::atomic<bool> calm_ = false;
  Drive drive_;
  const fs::Attr attr_;
  const std::shared_ptr<FileContent> file_;
  const std::shared_ptr<ReadAhead> ahead_ = drive_.io->read_ahead();
  std::string expected_;
  uint64_t position_ = 0;
  Flushes flushes_;
};

int rounds() {
  const char* given = std::getenv("ASTER_TEST_ROUNDS");
  return given ? std::atoi(given) : 2;
}

TEST(FileModel, behaves_like_a_string_with_room_for_everything) {
  const uint64_t seed = test_seed();
  for (int round = 0; round < rounds(); ++round) {
    SCOPED_TRACE("seed " + std::to_string(seed + round));
    Model(seed + round, {}).run(150);
  }
}

TEST(FileModel, behaves_like_a_string_with_room_for_little) {
  const uint64_t seed = test_seed();
  for (int round = 0; round < rounds(); ++round) {
    SCOPED_TRACE("seed " + std::to_string(seed + round));
    DriveOptions options;
    options.io.dirty_limit = 700'000;
    options.io.read_ahead_budget = 2 * kMiB;
    options.io.parallel_uploads = 2;
    options.io.parallel_downloads = 2;
    options.cache_bytes = round % 2 == 0 ? 0 : 1 * kMiB;
    options.slow_cache = round % 3 == 0;
    Model(seed + round, options).run(150);
  }
}

TEST(FileModel, threads_that_keep_to_their_regions_see_their_own_writes) {
  const uint64_t seed = test_seed();
  DriveOptions options;
  options.io.dirty_limit = 2 * kMiB;
  Drive drive(options);
  drive.primary.part_size = 256 << 10;
  const fs::Attr attr = drive.primary.create();
  const auto file = drive.open(attr);
  constexpr uint64_t kRegion = 700'000;
  constexpr int kThreads = 3;
  std::vector<std::string> regions(kThreads, std::string(kRegion, '\0'));
  ASSERT_TRUE(write(*file, 0, std::string(kThreads * kRegion, '\0')).ok());
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937_64 random(seed + static_cast<uint64_t>(t));
        std::string& mine = regions[static_cast<size_t>(t)];
        const uint64_t base = static_cast<uint64_t>(t) * kRegion;
        for (int i = 0; i < 80; ++i) {
          const uint64_t at = random() % kRegion;
          const uint64_t n = 1 + random() % std::min<uint64_t>(kRegion - at, 60'000);
          const std::string bytes = random_bytes(random, n);
          ASSERT_TRUE(write(*file, base + at, bytes).ok());
          mine.replace(at, n, bytes);
          if (i % 10 == 3) {
            ASSERT_TRUE(flush(*file).ok());
          }
          ASSERT_TRUE(read(*file, base, kRegion).value() == mine) << "thread " << t;
        }
      });
    }
  }
  ASSERT_TRUE(flush(*file, true).ok());
  std::string expected;
  for (const std::string& region : regions) expected += region;
  EXPECT_TRUE(drive.primary.content(attr.ino) == expected);
}

}  // namespace
}  // namespace aster::testing
