#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>

#include "cache/block_cache.h"
#include "fake_follower.h"
#include "fake_primary.h"
#include "fuse/io/file_content.h"

namespace aster::testing {

inline constexpr uint64_t kMiB = 1 << 20;

/// A BlockCache over a map that forgets everything when full. `slow` plays a cache on disk.
class FakeCache final : public BlockCache {
 public:
  explicit FakeCache(uint64_t limit, bool slow = false) : limit_(limit), slow_(slow) {}

  std::optional<Bytes> get(const BlockKey& key, uint32_t crc) override {
    auto state = state_.lock();
    const auto it = state->blocks.find(key);
    if (it == state->blocks.end() || crc32c(it->second.view()) != crc) return std::nullopt;
    ++state->hits;
    return it->second;
  }
  std::optional<Bytes> get_from_memory(const BlockKey& key, uint32_t crc) override {
    if (slow_) return std::nullopt;
    return get(key, crc);
  }
  bool contains(const BlockKey& key) const override { return state_.lock()->blocks.contains(key); }
  void put(const BlockKey& key, uint32_t, Bytes bytes) override {
    auto state = state_.lock();
    if (state->bytes + bytes.size() > limit_) {
      state->blocks.clear();
      state->bytes = 0;
    }
    if (bytes.size() > limit_) return;
    state->bytes += bytes.size();
    state->blocks[key] = std::move(bytes);
  }
  BlockCacheStats stats() const override { return {.hits = state_.lock()->hits}; }
  void clear() {
    auto state = state_.lock();
    state->blocks.clear();
    state->bytes = 0;
  }

 private:
  struct State {
    std::map<BlockKey, Bytes> blocks;
    uint64_t bytes = 0;
    uint64_t hits = 0;
  };
  const uint64_t limit_;
  const bool slow_;
  mutable Guarded<State> state_;
};

struct DriveOptions {
  FileIoOptions io = {.timeout = std::chrono::milliseconds(20000)};
  uint64_t cache_bytes = 256 << 20;
  bool slow_cache = false;
};

/// A primary, a follower and a mount's file I/O, all in this process.
class Drive {
 public:
  explicit Drive(DriveOptions options = {})
      : executor({.name = "io-test", .threads = 2}),
        follower(executor),
        primary(executor, follower),
        cache(options.cache_bytes, options.slow_cache),
        io(make_file_io(options.io, primary, follower, cache, executor)) {}

  std::shared_ptr<FileContent> new_file() { return io->content(primary.create()); }
  std::shared_ptr<FileContent> open(const fs::Attr& attr) { return io->content(attr); }

  Executor executor;
  FakeFollower follower;
  FakePrimary primary;
  FakeCache cache;
  std::unique_ptr<FileIo> io;
};

inline std::string random_bytes(std::mt19937_64& random, size_t n) {
  std::string bytes(n, '\0');
  for (size_t i = 0; i < n; i += 8) {
    const uint64_t word = random();
    std::memcpy(bytes.data() + i, &word, std::min<size_t>(8, n - i));
  }
  return bytes;
}
inline std::string some_bytes(size_t n, uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  return random_bytes(random, n);
}
/// The seed of a random test: from ASTER_TEST_SEED, else fresh; printed.
inline uint64_t test_seed() {
  const char* given = std::getenv("ASTER_TEST_SEED");
  const uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("ASTER_TEST_SEED=%lu\n", static_cast<unsigned long>(seed));
  return seed;
}

inline Result<void> write(FileContent& file, uint64_t offset, std::string bytes) {
  return run_blocking(file.write(offset, Bytes::from_string(std::move(bytes))));
}
/// A task that runs while the test goes on.
template <class T>
std::future<T> in_background(Task<T> task) {
  auto promise = std::make_shared<std::promise<T>>();
  std::future<T> future = promise->get_future();
  start<T>(std::move(task), [promise](T value) { promise->set_value(std::move(value)); });
  return future;
}
inline Result<void> flush(FileContent& file, bool sealed = false) {
  return run_blocking(file.flush(sealed));
}
inline Result<std::string> read(FileContent& file, uint64_t offset, uint64_t length,
                                std::shared_ptr<ReadAhead> ahead = {}) {
  const auto pieces = run_blocking(file.read(offset, length, std::move(ahead)));
  if (!pieces.ok()) return pieces.error();
  std::string bytes;
  for (const Bytes& piece : pieces.value()) bytes += as_text(piece.view());
  return bytes;
}
/// For drives with a short timeout, which a busy machine may miss: what works, works in some tries.
template <class F>
bool in_some_tries(F attempt) {
  for (int i = 0; i < 50; ++i) {
    if (attempt().ok()) return true;
  }
  return false;
}
/// For what comes without anything to wait for; false after 20 s.
template <class F>
bool eventually(F holds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}
inline Result<fs::Attr> truncate(FileContent& file, InodeNo ino, uint64_t size) {
  fs::SetAttr change;
  change.ino = ino;
  change.size = size;
  return run_blocking(file.truncate(change));
}

}  // namespace aster::testing
