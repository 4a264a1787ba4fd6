#include <benchmark/benchmark.h>

#include <cstdlib>

#include "protocol/checksum.h"
#include "protocol/fs/json.h"
#include "protocol/sign/signature.h"

/// What the wire costs at either end: signing, checking, JSON of the hot messages, checksums.
namespace aster {
namespace {

const std::string kSecret(64, 'a');
const std::string kTarget =
    "/api/v1/internal/storage/objects/files/0123456789abcdef0123456789abcdef?target_key=default";

void sign_request(benchmark::State& state) {
  const SystemClock clock;
  const sign::Signer signer({"key", kSecret}, clock);
  for (auto _ : state) benchmark::DoNotOptimize(signer.sign("PUT", kTarget, 4096));
}
BENCHMARK(sign_request);

void presign(benchmark::State& state) {
  const SystemClock clock;
  const sign::Signer signer({"key", kSecret}, clock);
  for (auto _ : state) benchmark::DoNotOptimize(signer.presign("GET", kTarget, 2'000'000'000));
}
BENCHMARK(presign);

/// With the signing of a fresh request each time, which sign_request tells apart.
void sign_and_verify(benchmark::State& state) {
  const SystemClock clock;
  sign::MemoryNonceStore nonces(clock, 100'000'000);
  const sign::Signer signer({"key", kSecret}, clock);
  const sign::Verifier verifier([](std::string_view) { return sign::KeyRecord{kSecret, true}; },
                                nonces, clock);
  for (auto _ : state) {
    const sign::Headers headers = signer.sign("PUT", kTarget, 4096);
    const auto request = sign::ReceivedRequest::from("PUT", kTarget, headers, 4096);
    if (!verifier.verify(request).ok()) state.SkipWithError("refused");
  }
}
BENCHMARK(sign_and_verify);

void verify_presigned(benchmark::State& state) {
  const SystemClock clock;
  sign::MemoryNonceStore nonces(clock);
  const sign::Signer signer({"key", kSecret}, clock);
  const sign::Verifier verifier([](std::string_view) { return sign::KeyRecord{kSecret, true}; },
                                nonces, clock);
  const std::string target = signer.presign("GET", kTarget, clock.now_ns() / 1'000'000'000 + 3600);
  for (auto _ : state) {
    if (!verifier.verify_presigned("GET", target).ok()) state.SkipWithError("refused");
  }
}
BENCHMARK(verify_presigned);

/// A batch of look-ups as the primary reads it.
void decode_batch(benchmark::State& state) {
  fs::BatchRequest request;
  for (int64_t i = 0; i < state.range(0); ++i) {
    request.items.push_back({fs::Lookup{InodeNo(42), "file" + std::to_string(i)}, {}});
  }
  const std::string text = fs::encode(request);
  for (auto _ : state) {
    if (!fs::decode_batch_request(text).ok()) state.SkipWithError("not decoded");
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * text.size()));
}
BENCHMARK(decode_batch)->Arg(1)->Arg(64);

Result<fs::Answer> page_of(int64_t entries) {
  fs::DirPage page;
  for (int64_t i = 0; i < entries; ++i) {
    fs::DirEntry entry{"file" + std::to_string(i), static_cast<uint64_t>(i) + 1, {}};
    entry.attr.ino = InodeNo(1000 + static_cast<uint64_t>(i));
    page.entries.push_back(std::move(entry));
  }
  return fs::Answer(std::move(page));
}

/// A page of a directory with attributes.
void encode_listing(benchmark::State& state) {
  const Result<fs::Answer> page = page_of(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(fs::encode_result(page));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(encode_listing)->Arg(1024);

void decode_listing(benchmark::State& state) {
  const std::string text = fs::encode_result(page_of(state.range(0)));
  for (auto _ : state) {
    if (!fs::decode_result(text).ok()) state.SkipWithError("not decoded");
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(decode_listing)->Arg(1024);

void checksum_of_block(benchmark::State& state) {
  const std::string block(kBlockSize, 'x');
  for (auto _ : state) benchmark::DoNotOptimize(crc32c(as_bytes(block)));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * block.size()));
}
BENCHMARK(checksum_of_block);

}  // namespace
}  // namespace aster

BENCHMARK_MAIN();
