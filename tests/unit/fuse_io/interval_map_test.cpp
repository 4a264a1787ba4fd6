#include "fuse/io/interval_map.h"

#include <gtest/gtest.h>

#include <string>

#include "drive.h"

namespace aster {
namespace {

// A value that knows which byte of which write it is.
struct Mark {
  uint64_t write = 0;
  uint64_t skip = 0;
  Mark slice(uint64_t more, uint64_t) const { return {write, skip + more}; }
};

// What stands at each byte: write * 1000 + position within the write; 0 = nothing.
std::vector<uint64_t> flatten(const IntervalMap<Mark>& map, uint64_t size) {
  std::vector<uint64_t> bytes(size, 0);
  map.visit(
      0, size,
      [&](uint64_t at, uint64_t n, const Mark& mark) {
        for (uint64_t i = 0; i < n; ++i) bytes[at + i] = mark.write * 1000 + mark.skip + i;
      },
      [](uint64_t, uint64_t) {});
  return bytes;
}

TEST(IntervalMap, later_range_cuts_the_earlier_one) {
  IntervalMap<Mark> map;
  map.insert(10, 20, {1, 0});
  map.insert(15, 5, {2, 0});
  EXPECT_EQ(map.entries(), 3u);
  EXPECT_EQ(map.bytes(), 20u);
  EXPECT_EQ(flatten(map, 40)[14], 1004u);
  EXPECT_EQ(flatten(map, 40)[15], 2000u);
  EXPECT_EQ(flatten(map, 40)[20], 1010u);
  EXPECT_EQ(map.end(), 30u);
}

TEST(IntervalMap, finds_cover_and_gaps) {
  IntervalMap<Mark> map;
  map.insert(10, 5, {1, 0});
  map.insert(15, 5, {2, 0});
  EXPECT_EQ(map.covered_until(10), 20u);
  EXPECT_EQ(map.covered_until(5), 5u);
  EXPECT_EQ(map.next_covered(0), 10u);
  EXPECT_EQ(map.next_covered(12), 12u);
  EXPECT_EQ(map.next_covered(20), std::nullopt);
  EXPECT_TRUE(map.touches(0, 11));
  EXPECT_FALSE(map.touches(0, 10));
  EXPECT_FALSE(map.touches(20, UINT64_MAX));
}

TEST(IntervalMap, behaves_like_an_array_under_random_operations) {
  std::mt19937_64 random(testing::test_seed());
  constexpr uint64_t kSize = 200;
  for (int round = 0; round < 50; ++round) {
    IntervalMap<Mark> map;
    std::vector<uint64_t> reference(kSize, 0);
    for (uint64_t op = 1; op < 100; ++op) {
      const uint64_t begin = random() % kSize;
      const uint64_t length = 1 + random() % (kSize - begin);
      switch (random() % 3) {
        case 0:
          map.insert(begin, length, {op, 0});
          for (uint64_t i = 0; i < length; ++i) reference[begin + i] = op * 1000 + i;
          break;
        case 1:
          map.erase(begin, begin + length);
          for (uint64_t i = 0; i < length; ++i) reference[begin + i] = 0;
          break;
        default:
          map.insert_below(begin, length, {op, 0});
          for (uint64_t i = 0; i < length; ++i) {
            if (reference[begin + i] == 0) reference[begin + i] = op * 1000 + i;
          }
      }
      ASSERT_EQ(flatten(map, kSize), reference);
      const auto covered = static_cast<uint64_t>(
          std::count_if(reference.begin(), reference.end(), [](uint64_t b) { return b != 0; }));
      ASSERT_EQ(map.bytes(), covered);
    }
  }
}

}  // namespace
}  // namespace aster
