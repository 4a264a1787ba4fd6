#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>

#include "cache/writeback_journal.h"
#include "fuse/io/manifest_map.h"
#include "protocol/base/log.h"

/// Inner loops of the mount: look-ups in manifests of 1 to 100,000 extents, and the write-back
/// journal, which lies below $ASTER_BENCH_DIR (default: the working directory).
namespace aster {
namespace {

fs::Manifest manifest_of(int64_t extents) {
  fs::Manifest manifest;
  fs::ObjectAccess object;
  object.id = ObjectId::random();
  object.url = "http://127.0.0.1/object";
  object.size = static_cast<uint64_t>(extents) * 8192;
  object.crc32c.resize(object.size / kBlockSize + 1);
  for (int64_t i = 0; i < extents; ++i) {
    // Every other 4 KiB, so that no two extents are one run.
    const auto at = static_cast<uint64_t>(i) * 8192;
    manifest.extents.push_back({at, 4096, object.id, at});
  }
  manifest.objects.push_back(std::move(object));
  manifest.window_end = ManifestMap::kWindow;
  return manifest;
}

void install_manifest(benchmark::State& state) {
  const fs::Manifest manifest = manifest_of(state.range(0));
  for (auto _ : state) {
    ManifestMap map;
    if (!map.install({0, ManifestMap::kWindow}, manifest, {}).ok()) state.SkipWithError("refused");
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(install_manifest)->RangeMultiplier(10)->Range(1, 100'000);

/// One read of 4 KiB somewhere.
void find_extent(benchmark::State& state) {
  ManifestMap map;
  if (!map.install({0, ManifestMap::kWindow}, manifest_of(state.range(0)), {}).ok()) {
    state.SkipWithError("refused");
  }
  uint64_t i = 0;
  for (auto _ : state) {
    const uint64_t at = (i++ * 7919 % static_cast<uint64_t>(state.range(0))) * 8192;
    map.extents().visit(
        at, at + 4096,
        [](uint64_t, uint64_t, const ObjectPiece& piece) { benchmark::DoNotOptimize(&piece); },
        [&](uint64_t, uint64_t) { state.SkipWithError("a hole"); });
  }
}
BENCHMARK(find_extent)->RangeMultiplier(10)->Range(1, 100'000);

/// Durable appends of 4 KiB by state.range(0) writers at once.
void journal_append(benchmark::State& state) {
  log::set_level(log::Level::error);
  const char* below = std::getenv("ASTER_BENCH_DIR");
  std::string pattern = std::string(below != nullptr ? below : ".") + "/mount-bench-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) std::abort();
  {
    Executor executor({"bench", 2});
    JournalOptions options{.directory = pattern, .identity = "bench"};
    const auto journal = WritebackJournal::open(options, executor).value();
    const Bytes data = Bytes::from_string(std::string(4096, 'x'));
    for (auto _ : state) {
      std::vector<Task<Result<uint64_t>>> appends;
      for (int64_t n = 0; n < state.range(0); ++n) {
        JournaledWrite write;
        write.ino = InodeNo(static_cast<uint64_t>(n) + 2);
        write.pieces.push_back({0, data});
        appends.push_back(journal->append(std::move(write)));
      }
      const auto numbers = run_blocking(when_all(std::move(appends)));
      if (!numbers.back().ok()) state.SkipWithError("not appended");
      for (int64_t n = 0; n < state.range(0); ++n) {
        journal->retire(InodeNo(static_cast<uint64_t>(n) + 2), *numbers[static_cast<size_t>(n)], 1);
      }
    }
  }
  std::filesystem::remove_all(pattern);
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(journal_append)->Arg(1)->Arg(16)->UseRealTime();

}  // namespace
}  // namespace aster

BENCHMARK_MAIN();
