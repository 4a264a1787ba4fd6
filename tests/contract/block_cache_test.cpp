#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/contract/block_cache_fixture.h"

namespace aster::testing {
namespace {

/// What every BlockCache promises.
template <class T>
class BlockCacheContract : public ::testing::Test {
 protected:
  BlockCache& cache() { return under_test_.cache(); }
  void put(const TestBlock& block) { cache().put(block.key, block.crc32c, block.bytes); }
  std::optional<Bytes> get(const TestBlock& block) { return cache().get(block.key, block.crc32c); }
  T under_test_;
};

using Implementations = ::testing::Types<MemoryUnderTest, DiskUnderTest, TieredUnderTest>;
TYPED_TEST_SUITE(BlockCacheContract, Implementations);

TYPED_TEST(BlockCacheContract, an_unknown_block_is_a_miss) {
  EXPECT_FALSE(this->get(test_block(1)));
  EXPECT_FALSE(this->cache().contains(test_block(1).key));
  EXPECT_EQ(this->cache().stats().misses, 1u);
  EXPECT_EQ(this->cache().stats().hits, 0u);
}

TYPED_TEST(BlockCacheContract, a_block_is_a_hit_at_once_and_later) {
  const TestBlock block = test_block(1);
  this->put(block);
  EXPECT_TRUE(same_bytes(this->get(block), block));
  EXPECT_TRUE(this->cache().contains(block.key));
  this->under_test_.settle();
  EXPECT_TRUE(same_bytes(this->get(block), block));
  EXPECT_TRUE(this->cache().contains(block.key));
  EXPECT_EQ(this->cache().stats().hits, 2u);
  EXPECT_EQ(this->cache().stats().puts, 1u);
}

TYPED_TEST(BlockCacheContract, memory_gives_what_get_would_give_or_nothing) {
  const TestBlock block = test_block(1);
  EXPECT_FALSE(this->cache().get_from_memory(block.key, block.crc32c));
  EXPECT_EQ(this->cache().stats().misses, 0u);
  this->put(block);
  const auto bytes = this->cache().get_from_memory(block.key, block.crc32c);
  const bool keeps_in_memory = !std::is_same_v<TypeParam, DiskUnderTest>;
  EXPECT_EQ(bytes.has_value(), keeps_in_memory);
  EXPECT_TRUE(!bytes || same_bytes(bytes, block));
  EXPECT_FALSE(this->cache().get_from_memory(block.key, block.crc32c + 1));
}

TYPED_TEST(BlockCacheContract, keeps_blocks_of_every_length) {
  std::vector<TestBlock> blocks;
  for (const size_t size : {1, 463, 464, 465, 511, 512, 513, 4096, 65535, 65536, 65537, 131071}) {
    blocks.push_back(test_block(static_cast<uint32_t>(size), size));
    this->put(blocks.back());
  }
  this->under_test_.settle();
  for (const TestBlock& block : blocks) EXPECT_TRUE(same_bytes(this->get(block), block));
}

TYPED_TEST(BlockCacheContract, blocks_of_one_object_are_told_apart) {
  TestBlock first = test_block(1);
  TestBlock second = test_block(2);
  second.key = first.key;
  second.key.index += 1;
  this->put(first);
  this->put(second);
  this->under_test_.settle();
  EXPECT_TRUE(same_bytes(this->get(first), first));
  EXPECT_TRUE(same_bytes(this->get(second), second));
}

TYPED_TEST(BlockCacheContract, empty_and_oversized_blocks_are_not_kept) {
  const TestBlock empty = test_block(1, 0);
  const TestBlock large = test_block(2, kBlockSize + 1);
  this->put(empty);
  this->put(large);
  this->under_test_.settle();
  EXPECT_FALSE(this->get(empty));
  EXPECT_FALSE(this->get(large));
}

TYPED_TEST(BlockCacheContract, another_checksum_is_a_miss_and_forgets_the_block) {
  const TestBlock block = test_block(1);
  this->put(block);
  this->under_test_.settle();
  EXPECT_FALSE(this->cache().get(block.key, block.crc32c ^ 1));
  EXPECT_GE(this->cache().stats().corrupt, 1u);
  EXPECT_FALSE(this->get(block));
}

TYPED_TEST(BlockCacheContract, a_repeated_put_takes_no_more_room) {
  const TestBlock block = test_block(1);
  this->put(block);
  this->under_test_.settle();
  const uint64_t before = this->cache().stats().bytes;
  for (int i = 0; i < 10; ++i) {
    this->put(block);
    this->under_test_.settle();
  }
  EXPECT_EQ(this->cache().stats().bytes, before);
  EXPECT_TRUE(same_bytes(this->get(block), block));
}

TYPED_TEST(BlockCacheContract, stays_below_its_limit_and_keeps_what_came_last) {
  for (uint32_t i = 0; i < 400; ++i) {  // 50 MiB
    this->put(test_block(i));
    if (i % 16 == 15) {
      this->under_test_.settle();
      const BlockCacheStats stats = this->cache().stats();
      EXPECT_LE(stats.bytes, stats.limit_bytes);
    }
  }
  EXPECT_GT(this->cache().stats().evicted_bytes, 0u);
  for (uint32_t i = 390; i < 400; ++i) {
    EXPECT_TRUE(same_bytes(this->get(test_block(i)), test_block(i))) << i;
  }
  EXPECT_FALSE(this->get(test_block(0)));
}

TYPED_TEST(BlockCacheContract, a_scan_does_not_push_out_blocks_in_use) {
  for (uint32_t i = 0; i < 8; ++i) this->put(test_block(i));
  this->under_test_.settle();
  for (uint32_t i = 1000; i < 1400; ++i) {  // three times the largest cache
    if (i % 16 == 0) {
      for (uint32_t used = 0; used < 8; ++used) this->get(test_block(used));
    }
    this->put(test_block(i));
    this->under_test_.settle();
  }
  for (uint32_t i = 0; i < 8; ++i) {
    EXPECT_TRUE(same_bytes(this->get(test_block(i)), test_block(i))) << i;
  }
}

TYPED_TEST(BlockCacheContract, serves_many_threads_and_never_wrong_bytes) {
  constexpr uint32_t kThreads = 4;
  constexpr uint32_t kKeys = 160;  // 20 MiB: eviction goes on meanwhile
  std::vector<TestBlock> blocks;
  for (uint32_t i = 0; i < kKeys; ++i) blocks.push_back(test_block(i));
  std::atomic<uint32_t> wrong{0};
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      uint32_t state = t + 1;
      for (int i = 0; i < 400; ++i) {
        state = state * 1664525 + 1013904223;
        const TestBlock& block = blocks[(state >> 8) % kKeys];
        if (const auto got = this->get(block)) {
          if (!same_bytes(got, block)) ++wrong;
        } else {
          this->put(block);
        }
        this->cache().contains(block.key);
        if (i % 64 == 0) this->cache().stats();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  this->under_test_.settle();
  EXPECT_EQ(wrong, 0u);
  const BlockCacheStats stats = this->cache().stats();
  EXPECT_LE(stats.bytes, stats.limit_bytes);
  EXPECT_EQ(stats.corrupt, 0u);
  EXPECT_EQ(stats.hits + stats.misses, kThreads * 400u);
}

}  // namespace
}  // namespace aster::testing
