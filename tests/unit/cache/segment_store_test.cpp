#include "cache/segment_store.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "protocol/checksum.h"
#include "tests/support/fake_clock.h"
#include "tests/support/temp_dir.h"

namespace aster::testing {
namespace {

using block_format::Location;

/// A file system that knows no writes past the page cache, or less and less of them.
class PickyFiles final : public FileLayer {
 public:
  ssize_t write(int fd, std::span<const iovec> pieces, uint64_t offset) override {
    if ((::fcntl(fd, F_GETFL) & O_DIRECT) == 0) return FileLayer::write(fd, pieces, offset);
    ++direct_writes;
    if (refuse_direct) {
      errno = EINVAL;
      return -1;
    }
    iovec first = pieces[0];
    if (at_most != 0) first.iov_len = std::min(first.iov_len, at_most);
    return FileLayer::write(fd, {&first, 1}, offset);
  }
  int direct_writes = 0;
  bool refuse_direct = false;
  size_t at_most = 0;  ///< bytes of one direct write; 0 = all
};

class SegmentStoreTest : public ::testing::Test {
 protected:
  SegmentStoreTest() { open(); }
  void open() {
    store_.reset();
    UniqueFd fd(::open(dir_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    store_ = SegmentStore::open(std::move(fd), {1 << 20, "test"}, files_, clock_).value();
  }
  static BlockKey key_of(uint32_t number) {
    BlockKey key;
    key.index = number;
    return key;
  }
  Location append(uint32_t number, const std::string& content) {
    const auto view = as_bytes(content);
    const BlockToStore block{key_of(number), crc32c(view), view};
    return store_->append({&block, 1}).value().at(0);
  }
  Result<Bytes> read(uint32_t number, const Location& where) {
    return store_->read(key_of(number), where, pool_);
  }

  /// Records of all sizes, in appends of one to seven: all of them can be read, also later.
  void append_and_read_many() {
    std::vector<std::pair<std::string, Location>> stored;
    for (uint32_t round = 0; round < 40; ++round) {
      std::vector<std::string> contents;
      for (uint32_t i = 0; i <= round % 7; ++i) {
        const size_t size = 1 + (round * 7919 + i * 104729) % (round % 3 == 0 ? 600 : 20'000);
        contents.emplace_back(size, static_cast<char>('a' + (round + i) % 26));
      }
      std::vector<BlockToStore> blocks;
      for (const std::string& content : contents) {
        const auto number = static_cast<uint32_t>(stored.size() + blocks.size());
        blocks.push_back({key_of(number), crc32c(as_bytes(content)), as_bytes(content)});
      }
      const auto locations = store_->append(blocks).value();
      for (size_t i = 0; i < contents.size(); ++i) stored.emplace_back(contents[i], locations[i]);
    }
    for (int pass = 0; pass < 2; ++pass) {
      for (uint32_t i = 0; i < stored.size(); ++i) {
        EXPECT_EQ(as_text(read(i, stored[i].second)->view()), stored[i].first) << i;
      }
      open();
    }
  }

  TempDir dir_;
  FakeClock clock_;
  PickyFiles files_;
  BlockPool pool_{1 << 20};
  std::unique_ptr<SegmentStore> store_;
};

TEST_F(SegmentStoreTest, reads_back_what_it_appended) {
  const Location a = append(1, "first");
  const Location b = append(2, std::string(100'000, 'b'));
  EXPECT_EQ(as_text(read(1, a)->view()), "first");
  EXPECT_EQ(as_text(read(2, b)->view()), std::string(100'000, 'b'));
  EXPECT_EQ(a.offset, 512u);
  EXPECT_EQ(b.offset, 1024u);
}

TEST_F(SegmentStoreTest, appends_many_at_once) {
  std::vector<std::string> contents;
  for (int i = 1; i <= 50; ++i) contents.push_back(std::string(static_cast<size_t>(i * 37), 'c'));
  std::vector<BlockToStore> blocks;
  for (uint32_t i = 0; i < 50; ++i) {
    const auto view = as_bytes(contents[i]);
    blocks.push_back({key_of(i), crc32c(view), view});
  }
  const auto locations = store_->append(blocks).value();
  for (uint32_t i = 0; i < 50; ++i) EXPECT_EQ(as_text(read(i, locations[i])->view()), contents[i]);
}

TEST_F(SegmentStoreTest, writes_past_the_page_cache_where_it_can) {
  append_and_read_many();
  EXPECT_GT(files_.direct_writes, 0);
}

TEST_F(SegmentStoreTest, writes_through_the_page_cache_where_it_must) {
  files_.refuse_direct = true;
  append_and_read_many();
}

TEST_F(SegmentStoreTest, goes_on_after_a_short_write) {
  files_.at_most = 8192;
  append_and_read_many();
}

TEST_F(SegmentStoreTest, changes_to_the_page_cache_in_the_middle_of_a_segment) {
  const Location before = append(1, std::string(700, 'b'));
  files_.refuse_direct = true;
  const Location after = append(2, std::string(9000, 'a'));
  EXPECT_EQ(before.segment, after.segment);
  EXPECT_EQ(as_text(read(1, before)->view()), std::string(700, 'b'));
  EXPECT_EQ(as_text(read(2, after)->view()), std::string(9000, 'a'));
}

TEST_F(SegmentStoreTest, begins_a_new_segment_when_one_is_full) {
  for (uint32_t i = 0; i < 20; ++i) append(i, std::string(kBlockSize, 'x'));
  EXPECT_EQ(store_->count(), 3u);
  for (const auto& file : std::filesystem::directory_iterator(dir_.path())) {
    EXPECT_LE(file.file_size(), 1u << 20);
  }
}

TEST_F(SegmentStoreTest, reads_what_an_earlier_run_wrote_and_uses_no_number_twice) {
  const Location before = append(1, "before");
  open();
  EXPECT_EQ(as_text(read(1, before)->view()), "before");
  const Location after = append(2, "after");
  EXPECT_GT(after.segment, before.segment);
}

TEST_F(SegmentStoreTest, a_dropped_segment_is_gone_for_readers_and_on_disk) {
  const Location where = append(1, "content");
  EXPECT_GT(store_->bytes(), 0u);
  ASSERT_TRUE(store_->drop(where.segment).ok());
  EXPECT_TRUE(read(1, where).failed_with(Errc::not_found));
  EXPECT_EQ(store_->bytes(), 0u);
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path()));
  EXPECT_GT(append(2, "next").segment, where.segment);
}

TEST_F(SegmentStoreTest, a_location_of_another_block_is_corrupt) {
  const Location a = append(1, "same length 1");
  append(2, "same length 2");
  EXPECT_TRUE(read(2, a).failed_with(Errc::corrupt));
  Location past = a;
  past.offset = 1 << 30;
  EXPECT_TRUE(read(1, past).failed_with(Errc::corrupt));
}

TEST_F(SegmentStoreTest, visits_records_up_to_the_first_that_is_damaged) {
  append(1, "one");
  append(2, std::string(kBlockSize, 't'));
  const Location third = append(3, "three");
  append(4, "four");
  const auto visited = [&] {
    std::vector<uint32_t> found;
    const auto note = [&](const block_format::RecordHeader& record, uint32_t) {
      found.push_back(record.key.index);
    };
    EXPECT_TRUE(store_->visit_records(third.segment, note).ok());
    return found;
  };
  EXPECT_EQ(visited(), (std::vector<uint32_t>{1, 2, 3, 4}));
  const auto path = std::filesystem::directory_iterator(dir_.path())->path();
  std::string content = read_file(path);
  content[third.offset + 10] ^= 1;
  write_file(path, content);
  EXPECT_EQ(visited(), (std::vector<uint32_t>{1, 2}));
}

TEST_F(SegmentStoreTest, ignores_files_that_are_no_segments) {
  write_file(dir_ / "notes.txt", "x");
  write_file(dir_ / "zzzzzzzzzzzzzzzz.seg", "x");
  write_file(dir_ / "0000000000000000.seg", "x");
  open();
  EXPECT_EQ(store_->count(), 0u);
}

}  // namespace
}  // namespace aster::testing
