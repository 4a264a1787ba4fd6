#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "cache/disk_block_cache.h"
#include "cache/memory_block_cache.h"
#include "cache/tiered_block_cache.h"
#include "protocol/base/bytes.h"
#include "protocol/checksum.h"
#include "tests/support/fake_clock.h"
#include "tests/support/temp_dir.h"

namespace aster::testing {

/// A block whose key, content and checksum follow from two numbers.
struct TestBlock {
  BlockKey key;
  Bytes bytes;
  uint32_t crc32c = 0;
};

inline TestBlock test_block(uint32_t number, size_t size = kBlockSize) {
  TestBlock block;
  for (size_t i = 0; i < 4; ++i) {
    block.key.object.bytes[i] = static_cast<std::byte>((number * 2654435761u) >> (8 * i));
  }
  block.key.index = number % 7;
  std::string content(size, '\0');
  uint64_t state = number * 0x9E3779B97F4A7C15ull + 1;
  for (size_t i = 0; i < size; i += 8) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    __builtin_memcpy(&content[i], &state, std::min<size_t>(8, size - i));
  }
  block.bytes = Bytes::from_string(std::move(content));
  block.crc32c = crc32c(block.bytes.view());
  return block;
}

inline bool same_bytes(const std::optional<Bytes>& got, const TestBlock& block) {
  return got && as_text(got->view()) == as_text(block.bytes.view());
}

/// Apparent size of all files below a directory.
inline uint64_t size_on_disk(const std::filesystem::path& root) {
  uint64_t total = 0;
  std::error_code ignored;
  for (std::filesystem::recursive_directory_iterator it(root, ignored), end; it != end;
       it.increment(ignored)) {
    std::error_code gone;
    const uint64_t size = it->is_regular_file(gone) ? it->file_size(gone) : 0;
    if (!gone) total += size;
  }
  return total;
}

/// One implementation of BlockCache with what it stands on.
class CacheUnderTest {
 public:
  virtual ~CacheUnderTest() = default;
  virtual BlockCache& cache() = 0;
  /// Waits until puts took effect.
  virtual void settle() {}
};

constexpr uint64_t kTestDiskLimit = 16 << 20;
constexpr uint64_t kTestMemoryLimit = 4 << 20;

class MemoryUnderTest final : public CacheUnderTest {
 public:
  BlockCache& cache() override { return cache_; }

 private:
  MemoryBlockCache cache_{kTestMemoryLimit};
};

class DiskUnderTest : public CacheUnderTest {
 public:
  DiskUnderTest() {
    DiskCacheOptions options;
    options.directory = dir_ / "cache";
    options.limit_bytes = kTestDiskLimit;
    disk_ = DiskBlockCache::open(options, pool_, clock_).value();
  }
  BlockCache& cache() override { return *disk_; }
  void settle() override { disk_->drain(); }

 protected:
  TempDir dir_;
  FakeClock clock_;
  BlockPool pool_{1 << 20};
  std::unique_ptr<DiskBlockCache> disk_;
};

class TieredUnderTest final : public DiskUnderTest {
 public:
  BlockCache& cache() override { return tiered_; }

 private:
  MemoryBlockCache memory_{kTestMemoryLimit};
  TieredBlockCache tiered_{memory_, *disk_};
};

}  // namespace aster::testing
