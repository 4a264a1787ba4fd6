#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "cache/disk_block_cache.h"
#include "cache/memory_block_cache.h"
#include "protocol/base/unique_handle.h"
#include "protocol/checksum.h"

// The block cache by itself: hits from memory and disk, and what the disk takes. Works below
// $TMPDIR (or /tmp), which should be on the disk that is to be measured; needs 2 GiB there.
namespace aster {
namespace {

constexpr uint32_t kBlocks = 4096;  // 512 MiB
constexpr uint64_t kLimit = 1ull << 30;

struct Sample {
  BlockKey key;
  uint32_t crc32c;
  Bytes bytes;
};

std::vector<Sample> make_samples(uint32_t count, size_t size) {
  // One content for all: hits depend on keys and lengths only, and 512 MiB of memory stay free.
  std::string content(size, '\0');
  fill_random(reinterpret_cast<std::byte*>(content.data()), content.size());
  const Bytes bytes = Bytes::from_string(std::move(content));
  const uint32_t crc = crc32c(bytes.view());
  const ObjectId object = ObjectId::random();
  std::vector<Sample> samples;
  for (uint32_t i = 0; i < count; ++i) samples.push_back({{object, i}, crc, bytes});
  return samples;
}

/// A cache on disk in a private directory that goes with it.
class ScratchCache {
 public:
  ScratchCache() {
    const char* base = std::getenv("TMPDIR");
    std::string name = std::string(base != nullptr ? base : "/tmp") + "/aster-bench-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    directory_ = name;
    DiskCacheOptions options;
    options.directory = directory_;
    options.limit_bytes = kLimit;
    cache_ = DiskBlockCache::open(options, pool_, clock_).value();
  }
  ~ScratchCache() {
    cache_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  DiskBlockCache& cache() { return *cache_; }
  void fill(const std::vector<Sample>& samples) {
    for (size_t i = 0; i < samples.size(); ++i) {
      cache_->put(samples[i].key, samples[i].crc32c, samples[i].bytes);
      if (i % 64 == 63) cache_->drain();
    }
    cache_->drain();
  }
  /// Forgets the kernel's copies of the segments.
  void drop_page_cache() {
    for (const auto& file : std::filesystem::directory_iterator(directory_ / "segments")) {
      const UniqueFd fd(::open(file.path().c_str(), O_RDONLY | O_CLOEXEC));
      ::fdatasync(fd.get());
      ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED);
    }
  }

 private:
  std::filesystem::path directory_;
  SystemClock clock_;
  BlockPool pool_{8 << 20};
  std::unique_ptr<DiskBlockCache> cache_;
};

template <class Cache>
void get_all(benchmark::State& state, Cache& cache, const std::vector<Sample>& samples) {
  size_t next = 0;
  uint64_t misses = 0;
  uint64_t bytes = 0;
  for (auto _ : state) {
    // A stride that is coprime to the count: every block, in no order that helps.
    next = (next + 1237) % samples.size();
    const auto got = cache.get(samples[next].key, samples[next].crc32c);
    misses += !got;
    bytes += got ? got->size() : 0;
    benchmark::DoNotOptimize(got);
  }
  state.SetBytesProcessed(static_cast<int64_t>(bytes));
  state.SetItemsProcessed(state.iterations());
  if (misses != 0) state.SkipWithError("a block was missing");
}

void get_hit_from_memory(benchmark::State& state) {
  const auto samples = make_samples(kBlocks, static_cast<size_t>(state.range(0)));
  MemoryBlockCache cache(kLimit);
  for (const Sample& s : samples) cache.put(s.key, s.crc32c, s.bytes);
  get_all(state, cache, samples);
}
BENCHMARK(get_hit_from_memory)->Arg(4096)->Arg(kBlockSize);

void get_hit_from_disk_in_page_cache(benchmark::State& state) {
  const auto samples = make_samples(kBlocks, static_cast<size_t>(state.range(0)));
  ScratchCache scratch;
  scratch.fill(samples);
  get_all(state, scratch.cache(), samples);
}
BENCHMARK(get_hit_from_disk_in_page_cache)->Arg(4096)->Arg(kBlockSize);

void get_hit_from_disk_cold(benchmark::State& state) {
  const auto samples = make_samples(kBlocks, kBlockSize);
  ScratchCache scratch;
  scratch.fill(samples);
  scratch.drop_page_cache();
  get_all(state, scratch.cache(), samples);
}
BENCHMARK(get_hit_from_disk_cold)->Iterations(kBlocks)->UseRealTime();

void miss_on_disk(benchmark::State& state) {
  ScratchCache scratch;
  scratch.fill(make_samples(kBlocks, 4096));
  const auto others = make_samples(kBlocks, 4096);
  size_t next = 0;
  for (auto _ : state) {
    next = (next + 1) % others.size();
    benchmark::DoNotOptimize(scratch.cache().get(others[next].key, others[next].crc32c));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(miss_on_disk);

/// Until the bytes are in the segment files; eviction runs from the second GiB on.
void put_to_disk(benchmark::State& state) {
  ScratchCache scratch;
  const uint64_t dropped_before = scratch.cache().disk_stats().dropped_puts;
  auto samples = make_samples(128, static_cast<size_t>(state.range(0)));
  uint64_t bytes = 0;
  for (auto _ : state) {
    const ObjectId object = ObjectId::random();
    for (Sample& s : samples) {
      s.key.object = object;
      scratch.cache().put(s.key, s.crc32c, s.bytes);
      bytes += s.bytes.size();
    }
    scratch.cache().drain();
  }
  state.SetBytesProcessed(static_cast<int64_t>(bytes));
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(samples.size()));
  if (scratch.cache().disk_stats().dropped_puts != dropped_before) {
    state.SkipWithError("blocks were dropped");
  }
}
BENCHMARK(put_to_disk)->Arg(4096)->Arg(kBlockSize)->UseRealTime()->MinTime(2.0);

/// What a put costs the thread that reads from the network.
void put_as_the_caller_sees_it(benchmark::State& state) {
  ScratchCache scratch;
  auto samples = make_samples(128, kBlockSize);
  for (auto _ : state) {
    const ObjectId object = ObjectId::random();
    for (Sample& s : samples) {
      s.key.object = object;
      scratch.cache().put(s.key, s.crc32c, s.bytes);
    }
    state.PauseTiming();
    scratch.cache().drain();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(samples.size()));
}
BENCHMARK(put_as_the_caller_sees_it)->Iterations(64);

}  // namespace
}  // namespace aster

BENCHMARK_MAIN();
