#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>

#include "tests/contract/block_cache_fixture.h"

// The test looks for these; far more than the cache holds.
constexpr uint32_t kBlocks = 2000;

// The child of the crash test: puts test blocks 0, 1, 2 ... into the cache at argv[1] until it is
// killed. Says how many are surely written, first after `argv[2]` of them, on $ASTER_READY_FD.
int main(int argc, char** argv) {
  using namespace aster;
  const char* ready = std::getenv("ASTER_READY_FD");
  if (argc != 3 || ready == nullptr) return 2;
  const uint32_t first_report = static_cast<uint32_t>(std::atoi(argv[2]));
  SystemClock clock;
  BlockPool pool(1 << 20);
  DiskCacheOptions options;
  options.directory = argv[1];
  options.limit_bytes = 64 << 20;
  auto cache = DiskBlockCache::open(options, pool, clock);
  if (!cache.ok()) {
    std::cerr << cache.error().message() << "\n";
    return 1;
  }
  for (uint32_t i = 0; i < kBlocks; ++i) {
    const testing::TestBlock block = testing::test_block(i);
    (*cache)->put(block.key, block.crc32c, block.bytes);
    if (i % 16 == 15) (*cache)->drain();  // or a full queue drops what the test counts
    if (i + 1 != first_report) continue;
    (*cache)->drain();
    const std::string line = std::to_string(first_report) + "\n";
    if (::write(std::atoi(ready), line.data(), line.size()) < 0) return 1;
  }
  ::pause();  // killed here when the machine was too busy to do it earlier
}
