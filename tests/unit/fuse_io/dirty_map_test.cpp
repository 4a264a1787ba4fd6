#include "fuse/io/dirty_map.h"

#include <gtest/gtest.h>

#include "drive.h"

namespace aster {
namespace {

constexpr uint64_t kPart = 256 << 10;

class DirtyMapTest : public ::testing::Test {
 protected:
  void write(uint64_t offset, const std::string& bytes) {
    ASSERT_TRUE(budget_->try_acquire(bytes.size()));
    map_.write(offset, as_bytes(bytes));
  }
  static std::string text_of(const DirtyPiece& piece) {
    return std::string(as_text(piece.in_memory()->view()));
  }
  // Fresh over pending; '.' where nothing is dirty, '?' where the memory was released.
  std::string visible(uint64_t size) const {
    std::string bytes(size, '.');
    map_.pending().visit(
        0, size,
        [&](uint64_t at, uint64_t n, const PendingPiece& piece) {
          bytes.replace(at, n, piece.memory.left() ? std::string(n, '?') : text_of(piece.memory));
        },
        [](uint64_t, uint64_t) {});
    map_.fresh().visit(
        0, size,
        [&](uint64_t at, uint64_t n, const DirtyPiece& piece) {
          bytes.replace(at, n, text_of(piece));
        },
        [](uint64_t, uint64_t) {});
    return bytes;
  }
  static std::string body(const UploadObjectPtr& object) {
    std::string bytes;
    for (const DirtyPiece& piece : object->body) bytes += text_of(piece);
    return bytes;
  }
  std::shared_ptr<const fs::ObjectAccess> arrive(const UploadObjectPtr& object) {
    auto access = std::make_shared<fs::ObjectAccess>();
    access->id = ObjectId::random();
    access->size = object->size;
    access->crc32c.resize((object->size + kBlockSize - 1) / kBlockSize);
    object->body.clear();  // as the uploader does
    map_.uploaded(object, access);
    return access;
  }

  Executor executor_{{.name = "test", .threads = 1}};
  BlockPool pool_{0};
  std::shared_ptr<DirtyBudget> budget_ =
      std::make_shared<DirtyBudget>(executor_, 1 << 30, std::chrono::seconds(10));
  DirtyMap map_{budget_, pool_};
};

TEST_F(DirtyMapTest, adjacent_small_writes_become_one_range) {
  for (int i = 0; i < 100; ++i) write(i * 10, "0123456789");
  EXPECT_LE(map_.fresh().entries(), 3u);  // one for each chunk of memory
  EXPECT_EQ(map_.bytes(), 1000u);
}

TEST_F(DirtyMapTest, small_write_takes_little_memory) {
  write(0, "hello");
  EXPECT_EQ(pool_.bytes_in_use(), 0u);
  EXPECT_EQ(budget_->in_use(), 5u);
}

TEST_F(DirtyMapTest, budget_returns_when_bytes_are_cut) {
  write(0, std::string(300'000, 'a'));
  write(0, std::string(300'000, 'b'));
  map_.cut(0);
  EXPECT_EQ(budget_->in_use(), 0u);
  EXPECT_TRUE(map_.empty());
}

TEST_F(DirtyMapTest, write_during_an_upload_wins_and_is_not_in_the_object) {
  write(0, "aaaa");
  const auto objects = map_.seal_all(kPart);
  ASSERT_EQ(objects.size(), 1u);
  write(1, "bb");
  EXPECT_EQ(visible(4), "abba");
  EXPECT_EQ(body(objects[0]), "aaaa");
  arrive(objects[0]);
  const auto commits = map_.commits(InodeNo(1));
  ASSERT_EQ(commits.size(), 1u);
  // What was sealed is committed in full: the flush that sealed it promised that.
  ASSERT_EQ(commits[0].commit.extents.size(), 1u);
  EXPECT_EQ(commits[0].commit.extents[0].length, 4u);
  map_.committed(commits[0].commit);
  EXPECT_EQ(visible(4), ".bb.");
}

TEST_F(DirtyMapTest, failed_object_is_fresh_again_except_where_it_was_overwritten) {
  write(0, "aaaa");
  const auto objects = map_.seal_all(kPart);
  write(1, "bb");
  map_.failed(objects[0]);
  EXPECT_TRUE(map_.pending().empty());
  EXPECT_EQ(visible(4), "abba");
  EXPECT_EQ(map_.fresh().bytes(), 4u);
}

TEST_F(DirtyMapTest, cut_reaches_objects_under_way) {
  write(0, "aaaaaaaa");
  const auto objects = map_.seal_all(kPart);
  map_.cut(3);
  arrive(objects[0]);
  const auto commits = map_.commits(InodeNo(1));
  ASSERT_EQ(commits[0].commit.extents.size(), 1u);
  EXPECT_EQ(commits[0].commit.extents[0].length, 3u);
  EXPECT_EQ(commits[0].commit.objects[0].size, 8u);
}

TEST_F(DirtyMapTest, full_parts_leave_memory_when_uploaded) {
  write(0, std::string(2 * kPart + 10, 'a'));
  const auto parts = map_.seal_full_parts(0, 2 * kPart + 10, kPart);
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(map_.fresh().bytes(), 10u);
  for (const auto& part : parts) arrive(part);
  EXPECT_EQ(visible(1), "?");
  EXPECT_LE(budget_->in_use(), kBlockSize);  // the chunk that the rest shares
}

TEST_F(DirtyMapTest, full_parts_are_found_beyond_huge_holes) {
  const uint64_t far = (1ull << 60);
  write(5, "x");
  write(far, std::string(kPart, 'a'));
  const auto parts = map_.seal_full_parts(0, map_.end(), kPart);
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_EQ(parts[0]->ranges[0].offset, far);
}

TEST_F(DirtyMapTest, commit_names_each_object_once_and_joins_extents) {
  write(0, "aaaa");
  write(100, "bbbb");
  write(104, "cccc");
  const auto objects = map_.seal_all(kPart);
  ASSERT_EQ(objects.size(), 1u);
  arrive(objects[0]);
  const auto commits = map_.commits(InodeNo(1));
  ASSERT_EQ(commits.size(), 1u);
  EXPECT_EQ(commits[0].commit.extents.size(), 2u);
  EXPECT_EQ(commits[0].commit.objects.size(), 1u);
}

TEST_F(DirtyMapTest, commits_stay_within_the_extent_limit) {
  for (uint64_t i = 0; i <= fs::kManifestExtentsMax; ++i) write(i * 2, "a");
  for (const auto& object : map_.seal_all(kPart)) arrive(object);
  auto commits = map_.commits(InodeNo(1));
  ASSERT_EQ(commits.size(), 2u);
  EXPECT_EQ(commits[0].commit.extents.size(), fs::kManifestExtentsMax);
  EXPECT_EQ(commits[0].commit.objects.size(), 1u);
  EXPECT_TRUE(commits[1].commit.objects.empty());
  EXPECT_EQ(commits[1].objects.size(), 1u);
  // After the first, the object is known to the primary.
  map_.committed(commits[0].commit);
  commits = map_.commits(InodeNo(1));
  ASSERT_EQ(commits.size(), 1u);
  EXPECT_TRUE(commits[0].commit.objects.empty());
  map_.committed(commits[0].commit);
  EXPECT_TRUE(map_.empty());
  EXPECT_EQ(budget_->in_use(), 0u);
}

TEST_F(DirtyMapTest, behaves_like_an_array_under_random_operations) {
  std::mt19937_64 random(testing::test_seed());
  constexpr uint64_t kSize = 1 << 20;
  std::string reference(kSize, '.');
  std::vector<UploadObjectPtr> flying;
  for (int op = 0; op < 2000; ++op) {
    const uint64_t begin = random() % kSize;
    const uint64_t length = 1 + random() % std::min<uint64_t>(kSize - begin, 200'000);
    switch (random() % 8) {
      case 0: {
        const uint64_t size = kSize / 2 + random() % (kSize / 2);
        map_.cut(size);
        std::fill(reference.begin() + static_cast<ptrdiff_t>(size), reference.end(), '.');
        break;
      }
      case 1:
        for (auto& object : map_.seal_all(kPart)) flying.push_back(object);
        break;
      case 2:
        for (auto& object : map_.seal_full_parts(begin, begin + length, kPart)) {
          flying.push_back(object);
        }
        break;
      case 3:
        if (!flying.empty()) {
          map_.failed(flying.back());
          flying.pop_back();
        }
        break;
      default: {
        const std::string bytes(length, static_cast<char>('a' + op % 26));
        write(begin, bytes);
        reference.replace(begin, length, bytes);
      }
    }
    if (op % 50 == 0) {
      ASSERT_EQ(visible(kSize), reference) << "after operation " << op;
    }
  }
  ASSERT_EQ(visible(kSize), reference);
  map_.cut(0);
  flying.clear();
  EXPECT_EQ(budget_->in_use(), 0u);
}

}  // namespace
}  // namespace aster
