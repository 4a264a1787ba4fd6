#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <mutex>

#include "cache/block_format.h"
#include "protocol/base/log.h"
#include "tests/contract/block_cache_fixture.h"
#include "tests/support/process.h"

namespace aster::testing {
namespace {

namespace fs = std::filesystem;

/// Fails reads or writes on cue.
class FaultyFiles final : public FileLayer {
 public:
  ssize_t read(int fd, std::span<const iovec> pieces, uint64_t offset) override {
    if (read_errno_ != 0) {
      errno = read_errno_;
      return -1;
    }
    return FileLayer::read(fd, pieces, offset);
  }
  ssize_t write(int fd, std::span<const iovec> pieces, uint64_t offset) override {
    std::unique_lock gate(gate_);
    ++writes_;
    if (write_errno_ != 0) {
      // A full disk takes part of it first.
      const iovec half{pieces[0].iov_base, pieces[0].iov_len / 2};
      if (partial_.exchange(false)) return FileLayer::write(fd, {&half, 1}, offset);
      errno = write_errno_;
      return -1;
    }
    return FileLayer::write(fd, pieces, offset);
  }

  std::atomic<int> read_errno_{0};
  std::atomic<int> write_errno_{0};
  std::atomic<bool> partial_{false};
  std::atomic<int> writes_{0};
  std::mutex gate_;  ///< held by a test: writes wait
};

class DiskBlockCacheTest : public ::testing::Test {
 protected:
  DiskBlockCacheTest() {
    options_.directory = dir_ / "cache";
    options_.limit_bytes = 32 << 20;
    log::set_sink(
        [this](log::Level, std::string_view line) { *log_.lock() += std::string(line) + "\n"; });
  }
  ~DiskBlockCacheTest() override {
    cache_.reset();
    log::set_sink({});
  }

  Result<std::unique_ptr<DiskBlockCache>> try_open() {
    return DiskBlockCache::open(options_, pool_, clock_, files_);
  }
  void open() {
    cache_.reset();
    auto opened = try_open();
    ASSERT_TRUE(opened.ok()) << opened.error().message();
    cache_ = std::move(*opened);
  }
  void put(uint32_t from, uint32_t to) {
    for (uint32_t i = from; i < to; ++i) {
      const TestBlock block = test_block(i);
      cache_->put(block.key, block.crc32c, block.bytes);
      if (i % 64 == 63) cache_->drain();
    }
    cache_->drain();
  }
  bool hit(uint32_t number) {
    const TestBlock block = test_block(number);
    const auto got = cache_->get(block.key, block.crc32c);
    EXPECT_TRUE(!got || same_bytes(got, block)) << "wrong bytes for block " << number;
    return got.has_value();
  }
  uint32_t hits(uint32_t from, uint32_t to) {
    uint32_t count = 0;
    for (uint32_t i = from; i < to; ++i) count += hit(i);
    return count;
  }
  std::vector<fs::path> segments() const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(options_.directory / "segments")) {
      found.push_back(entry.path());
    }
    std::sort(found.begin(), found.end());
    return found;
  }
  static void flip_bit(const fs::path& path, uint64_t offset) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    const char c = static_cast<char>(file.get() ^ 0x10);
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(c);
  }
  std::string logged() const { return *log_.lock(); }
  size_t times_logged(const std::string& text) const {
    const std::string all = logged();
    size_t count = 0;
    for (size_t at = all.find(text); at != std::string::npos; at = all.find(text, at + 1)) ++count;
    return count;
  }

  Guarded<std::string> log_;
  TempDir dir_;
  FakeClock clock_;
  FaultyFiles files_;
  BlockPool pool_{1 << 20};
  DiskCacheOptions options_;
  std::unique_ptr<DiskBlockCache> cache_;
};

TEST_F(DiskBlockCacheTest, survives_a_restart) {
  open();
  put(0, 50);
  open();
  EXPECT_EQ(hits(0, 50), 50u);
  EXPECT_EQ(cache_->stats().corrupt, 0u);
  EXPECT_GT(cache_->stats().bytes, 50 * kBlockSize);
}

TEST_F(DiskBlockCacheTest, a_block_put_just_before_the_close_is_kept) {
  open();
  const TestBlock block = test_block(1);
  cache_->put(block.key, block.crc32c, block.bytes);
  open();
  EXPECT_TRUE(hit(1));
}

TEST_F(DiskBlockCacheTest, all_its_files_together_stay_below_the_limit) {
  open();
  uint64_t most = 0;
  for (uint32_t i = 0; i < 1200; i += 8) {
    put(i, i + 8);
    most = std::max(most, size_on_disk(options_.directory));
    ASSERT_LE(most, options_.limit_bytes);
    ASSERT_LE(cache_->stats().bytes, options_.limit_bytes);
  }
  EXPECT_GT(most, options_.limit_bytes / 4 * 3) << "the limit is used";
}

TEST_F(DiskBlockCacheTest, stays_below_the_limit_with_tiny_blocks_and_a_large_index) {
  options_.limit_bytes = 16 << 20;
  open();
  const Bytes byte = Bytes::from_string("x");
  const uint32_t crc = crc32c(byte.view());
  for (uint32_t i = 0; i < 40'000; ++i) {
    BlockKey key = test_block(i, 1).key;
    key.index = i;
    cache_->put(key, crc, byte);
    if (i % 2000 == 0) {
      cache_->drain();
      ASSERT_LE(size_on_disk(options_.directory), options_.limit_bytes);
    }
  }
  EXPECT_GT(cache_->stats().evicted_bytes, 0u);
}

TEST_F(DiskBlockCacheTest, a_smaller_limit_is_obeyed_after_a_restart) {
  options_.limit_bytes = 64 << 20;
  open();
  put(0, 400);
  options_.limit_bytes = 16 << 20;
  open();
  put(1000, 1001);
  EXPECT_LE(size_on_disk(options_.directory), options_.limit_bytes);
  EXPECT_TRUE(hit(1000));
}

TEST_F(DiskBlockCacheTest, refuses_a_limit_that_leaves_no_room) {
  options_.limit_bytes = 1 << 20;
  EXPECT_TRUE(try_open().failed_with(Errc::bad_request));
}

TEST_F(DiskBlockCacheTest, blocks_that_were_read_outlive_those_that_were_not) {
  open();
  put(0, 40);
  EXPECT_EQ(hits(0, 4), 4u);
  put(1000, 1260);  // the limit and a little: the first segments go
  EXPECT_EQ(hits(0, 4), 4u);
  EXPECT_EQ(hits(4, 12), 0u);
}

TEST_F(DiskBlockCacheTest, blocks_that_are_no_longer_read_leave_in_the_end) {
  open();
  put(0, 40);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(hits(0, 8), 8u);
  // How often a block is carried over depends on which segments the writer's batches end in.
  for (uint32_t from = 1000; cache_->contains(test_block(0).key) && from < 20'000; from += 1400) {
    put(from, from + 1400);
  }
  EXPECT_FALSE(cache_->contains(test_block(0).key));
}

TEST_F(DiskBlockCacheTest, any_flipped_bit_is_a_miss_and_is_counted) {
  open();
  put(0, 1);
  const uint64_t record = block_format::kRecordAlignment;
  uint64_t corrupt = 0;
  for (const uint64_t at : {record + 9, record + 30, record + 41, record + 48, record + 70'000}) {
    flip_bit(segments().back(), at);
    EXPECT_FALSE(hit(0)) << at;
    EXPECT_EQ(cache_->stats().corrupt, ++corrupt);
    EXPECT_FALSE(cache_->contains(test_block(0).key)) << "it was forgotten";
    open();
    cache_->drain();
    for (const auto& path : segments()) fs::remove(path);
    open();
    put(0, 1);
    corrupt = 0;
  }
  EXPECT_TRUE(hit(0));
}

TEST_F(DiskBlockCacheTest, a_corrupt_block_can_be_put_again) {
  open();
  put(0, 1);
  flip_bit(segments().back(), 4096);
  EXPECT_FALSE(hit(0));
  put(0, 1);
  EXPECT_TRUE(hit(0));
}

TEST_F(DiskBlockCacheTest, segments_cut_short_or_removed_are_misses) {
  open();
  put(0, 40);
  cache_.reset();
  fs::resize_file(segments()[0], 300'000);
  fs::remove(segments()[1]);
  open();
  EXPECT_LT(hits(0, 40), 40u);
  EXPECT_GT(hits(0, 40), 0u);
  put(0, 40);
  EXPECT_EQ(hits(0, 40), 40u);
}

TEST_F(DiskBlockCacheTest, segments_that_were_swapped_give_no_wrong_bytes) {
  open();
  put(0, 40);
  cache_.reset();
  const auto files = segments();
  ASSERT_GE(files.size(), 2u);
  fs::rename(files[0], dir_ / "aside");
  fs::rename(files[1], files[0]);
  fs::rename(dir_ / "aside", files[1]);
  open();
  EXPECT_LT(hits(0, 40), 40u);  // hit() checks the bytes
}

TEST_F(DiskBlockCacheTest, a_segment_of_another_version_is_dropped_with_the_programs_name) {
  open();
  put(0, 4);
  cache_.reset();
  std::string content = read_file(segments()[0]);
  content[8] = 9;
  content.replace(32, 11, "aster/9.9.9");
  write_file(segments()[0], content);
  open();
  EXPECT_EQ(hits(0, 4), 0u);
  EXPECT_EQ(times_logged("cache_segment_dropped"), 1u);
  EXPECT_NE(logged().find("format version 9 of aster/9.9.9"), std::string::npos);
  const fs::path dropped = segments()[0];
  put(0, 4);
  EXPECT_EQ(hits(0, 4), 4u);
  EXPECT_FALSE(fs::exists(dropped));
}

TEST_F(DiskBlockCacheTest, a_cache_of_another_version_is_dropped_with_the_programs_name) {
  open();
  put(0, 4);
  cache_.reset();
  std::string content = read_file(options_.directory / "format");
  content[8] = 2;
  content.replace(32, 11, "aster/7.0.0");
  write_file(options_.directory / "format", content);
  open();
  EXPECT_EQ(hits(0, 4), 0u);
  EXPECT_NE(logged().find("cache_dropped"), std::string::npos);
  EXPECT_NE(logged().find("format version 2 of aster/7.0.0"), std::string::npos);
  put(0, 4);
  open();
  EXPECT_EQ(hits(0, 4), 4u);
}

TEST_F(DiskBlockCacheTest, a_damaged_index_is_begun_anew) {
  open();
  put(0, 40);
  cache_.reset();
  for (const auto& entry : fs::directory_iterator(options_.directory / "index")) {
    write_file(entry.path(), "garbage that no database ever wrote");
  }
  open();
  EXPECT_NE(logged().find("cache_index_restarted"), std::string::npos);
  EXPECT_EQ(hits(0, 40), 0u);
  put(0, 400);
  EXPECT_GT(hits(0, 400), 100u);
  EXPECT_LE(size_on_disk(options_.directory), options_.limit_bytes);
}

TEST_F(DiskBlockCacheTest, is_private_to_its_owner) {
  open();
  put(0, 4);
  cache_.reset();
  open();
  const auto mode_of = [](const fs::path& path) {
    struct stat st {};
    EXPECT_EQ(::stat(path.c_str(), &st), 0);
    return st.st_mode & 0777;
  };
  EXPECT_EQ(mode_of(options_.directory), 0700u);
  for (const auto& entry : fs::recursive_directory_iterator(options_.directory)) {
    EXPECT_EQ(mode_of(entry.path()), entry.is_directory() ? 0700u : 0600u) << entry.path();
  }
}

TEST_F(DiskBlockCacheTest, a_directory_is_used_by_one_mount_only) {
  open();
  const auto second = try_open();
  ASSERT_TRUE(second.failed_with(Errc::locked));
  EXPECT_NE(second.error().context.find("process " + std::to_string(::getpid())),
            std::string::npos);
  EXPECT_NE(second.error().context.find(options_.directory.string()), std::string::npos);
  cache_.reset();
  EXPECT_TRUE(try_open().ok());
}

TEST_F(DiskBlockCacheTest, leaves_a_directory_alone_that_holds_something_else) {
  fs::create_directories(options_.directory / "segments");
  write_file(options_.directory / "thesis.tex", "years of work");
  ASSERT_EQ(::chmod(options_.directory.c_str(), 0755), 0);
  EXPECT_TRUE(try_open().failed_with(Errc::exists));
  EXPECT_EQ(read_file(options_.directory / "thesis.tex"), "years of work");
  EXPECT_EQ(std::distance(fs::directory_iterator(options_.directory), {}), 2);
  EXPECT_EQ(fs::status(options_.directory).permissions(), fs::perms(0755));
}

TEST_F(DiskBlockCacheTest, a_full_disk_pauses_inserting_and_goes_on_serving) {
  open();
  put(0, 10);
  const uint64_t before = cache_->stats().bytes;
  files_.partial_ = true;
  files_.write_errno_ = ENOSPC;
  put(10, 20);
  EXPECT_TRUE(cache_->disk_stats().paused);
  EXPECT_EQ(times_logged("cache_paused"), 1u);
  EXPECT_NE(logged().find("no_space"), std::string::npos);
  EXPECT_EQ(hits(0, 10), 10u);
  EXPECT_EQ(hits(10, 20), 0u);
  EXPECT_EQ(cache_->stats().bytes, before) << "half a block was cut off again";
  const int tried = files_.writes_;
  put(20, 30);
  EXPECT_EQ(files_.writes_, tried) << "the disk is left in peace";
  clock_.advance(options_.pause * 2);
  put(30, 40);  // still full: silently paused again
  EXPECT_EQ(times_logged("cache_paused"), 1u);
  files_.write_errno_ = 0;
  clock_.advance(options_.pause * 2);
  put(40, 50);
  EXPECT_EQ(hits(40, 50), 10u);
  EXPECT_EQ(hits(0, 10), 10u);
  EXPECT_FALSE(cache_->disk_stats().paused);
  EXPECT_EQ(times_logged("cache_resumed"), 1u);
  EXPECT_EQ(cache_->stats().corrupt, 0u);
}

/// A file system of a given size; where the test may not mount one, ok() is false.
class SmallFileSystem {
 public:
  SmallFileSystem(fs::path path, const char* size) : path_(std::move(path)) {
    fs::create_directories(path_);
    ok_ = ::mount("aster-test", path_.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, size) == 0;
  }
  ~SmallFileSystem() {
    if (ok_) ::umount2(path_.c_str(), MNT_DETACH);
  }
  bool ok() const { return ok_; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  bool ok_ = false;
};

TEST_F(DiskBlockCacheTest, a_disk_that_is_really_full_hurts_neither_readers_nor_the_close) {
  const SmallFileSystem small(dir_ / "small", "size=24m,mode=0700");
  if (!small.ok()) GTEST_SKIP() << "may not mount a tmpfs";
  options_.directory = small.path() / "cache";
  options_.limit_bytes = 64 << 20;
  open();
  put(0, 64);
  const std::string filler(1 << 20, 'f');
  for (int i = 0; fs::space(small.path()).available > 0 && i < 64; ++i) {
    std::ofstream(small.path() / ("filler" + std::to_string(i))) << filler;
  }
  // The index cannot grow either: its log, its tables, its manifest.
  for (uint32_t from = 100; from < 400; from += 100) {
    put(from, from + 100);
    clock_.advance(options_.pause * 2);
  }
  EXPECT_EQ(times_logged("cache_paused"), 1u);
  EXPECT_EQ(hits(0, 64), 64u);
  ASSERT_NO_FATAL_FAILURE(open()) << "it makes room for its index";
  EXPECT_GT(hits(0, 64), 0u);
  for (int i = 0; i < 64; ++i) fs::remove(small.path() / ("filler" + std::to_string(i)));
  clock_.advance(options_.pause * 2);
  put(500, 510);
  EXPECT_EQ(hits(500, 510), 10u);
  EXPECT_EQ(cache_->stats().corrupt, 0u);
  cache_.reset();
}

TEST_F(DiskBlockCacheTest, a_read_error_is_a_miss_and_not_corruption) {
  open();
  put(0, 10);
  open();
  files_.read_errno_ = EIO;
  EXPECT_EQ(hits(0, 10), 0u);
  EXPECT_EQ(cache_->disk_stats().read_errors, 10u);
  EXPECT_EQ(cache_->stats().corrupt, 0u);
  EXPECT_EQ(times_logged("cache_paused"), 1u);
  files_.read_errno_ = 0;
  EXPECT_EQ(hits(0, 10), 10u) << "the blocks were not forgotten";
}

TEST_F(DiskBlockCacheTest, a_slow_disk_drops_puts_instead_of_holding_the_caller) {
  options_.queue_bytes = 8 * kBlockSize;
  open();
  {
    std::lock_guard stuck(files_.gate_);
    for (uint32_t i = 0; i < 40; ++i) {
      const TestBlock block = test_block(i);
      cache_->put(block.key, block.crc32c, block.bytes);
    }
    EXPECT_GE(cache_->disk_stats().dropped_puts, 32u);
    EXPECT_TRUE(hit(0)) << "what waits in the queue is served from there";
  }
  cache_->drain();
  EXPECT_TRUE(hit(0));
}

TEST_F(DiskBlockCacheTest, blocks_and_order_survive_kill_9) {
  const char* writer = std::getenv("ASTER_CACHE_WRITER");
  if (writer == nullptr) GTEST_SKIP() << "ASTER_CACHE_WRITER is not set";
  options_.limit_bytes = 64 << 20;
  // After the report the child goes on writing, so each kill strikes another moment of it.
  for (const uint32_t reported : {20u, 100u, 333u}) {
    Process::Options child_options;
    child_options.argv = {writer, options_.directory.string(), std::to_string(reported)};
    child_options.ready_pipe = true;
    auto child = Process::spawn(child_options);
    ASSERT_TRUE(child.ok());
    ASSERT_TRUE(child->wait_ready().ok());
    child->kill();
    EXPECT_LE(size_on_disk(options_.directory), options_.limit_bytes);
    open();
    EXPECT_GE(hits(0, 2000), std::min(reported, 300u));  // hit() checks the bytes
    EXPECT_EQ(cache_->stats().corrupt, 0u) << "the index never leads the bytes without a power cut";
    put(5000, 5100);
    EXPECT_EQ(hits(5000, 5100), 100u);
    EXPECT_LE(size_on_disk(options_.directory), options_.limit_bytes);
    cache_.reset();
    fs::remove_all(options_.directory);
  }
}

TEST_F(DiskBlockCacheTest, serves_nothing_wrong_when_the_tail_was_lost_in_a_power_cut) {
  open();
  put(0, 30);
  cache_.reset();
  const fs::path last = segments().back();
  fs::resize_file(last, fs::file_size(last) - kBlockSize);
  fs::resize_file(last, fs::file_size(last) + kBlockSize);  // zeros where the bytes were
  open();
  EXPECT_LT(hits(0, 30), 30u);
  EXPECT_GE(hits(0, 30), 27u);
}

}  // namespace
}  // namespace aster::testing
