#include "fuse/io/block_reader.h"

#include <algorithm>

namespace aster {
namespace {

// A URL with less than this left is not used: the exchange itself takes time.
constexpr int64_t kExpirySlack = 60;  // seconds
constexpr uint32_t kRunMax = kTransferSize / kBlockSize;

bool same_run(const BlockNeed& before, const BlockNeed& next) {
  return before.object == next.object && before.index + 1 == next.index;
}

}  // namespace

bool BlockReader::url_is_good(const fs::ObjectAccess& object, bool fresh) const {
  if (object.url.empty()) return false;
  return fresh || object.expires - kExpirySlack > context_->clock.now_seconds();
}

BlockReader::Sources BlockReader::look_up(std::vector<ReadSlice> slices, ReadAhead* ahead) {
  Sources sources;
  for (BlockNeed& need : blocks_of(slices)) {
    Sources::Block block;
    const BlockKey key = need.key();
    if (ahead != nullptr) block.fetch = ahead->find(key);
    if (!block.fetch) block.bytes = context_->cache.get_from_memory(key, need.crc32c());
    if (!block.fetch && !block.bytes) {
      block.fetch = fetcher_.find(key);
      if (!block.fetch && context_->cache.contains(key)) sources.on_disk = true;
    }
    block.need = std::move(need);
    sources.blocks.push_back(std::move(block));
  }
  sources.slices = std::move(slices);
  return sources;
}

void BlockReader::read_disk(Sources& sources) {
  for (Sources::Block& block : sources.blocks) {
    if (block.bytes || block.fetch) continue;
    block.bytes = context_->cache.get(block.need.key(), block.need.crc32c());
  }
  sources.on_disk = false;
}

void BlockReader::fetch_missing(Sources& sources, SteadyTime deadline, bool urls_are_fresh) {
  auto& blocks = sources.blocks;
  size_t contested = blocks.size();  // the cache claims to have it and does not deliver
  for (size_t i = 0; i < blocks.size();) {
    if (blocks[i].bytes || blocks[i].fetch) {
      ++i;
      continue;
    }
    const BlockNeed& need = blocks[i].need;
    if (!url_is_good(*need.object, urls_are_fresh)) {
      sources.needs_manifest = need.file_offset;
      return;
    }
    uint32_t run = 1;
    while (run < kRunMax && i + run < blocks.size() && !blocks[i + run].bytes &&
           !blocks[i + run].fetch && same_run(blocks[i + run - 1].need, blocks[i + run].need)) {
      ++run;
    }
    const BlockFetchPtr fetch = fetcher_.claim(
        need.object, need.index, run, {.prefetch = false, .even_if_cached = contested == i});
    if (!fetch) {  // somebody was faster
      contested = i;
      blocks[i].fetch = fetcher_.find(need.key());
      if (!blocks[i].fetch) blocks[i].bytes = context_->cache.get(need.key(), need.crc32c());
      continue;
    }
    for (uint32_t n = 0; n < fetch->count; ++n) blocks[i + n].fetch = fetch;
    i += fetch->count;
    fetcher_.run(fetch, deadline);
  }
}

Task<Result<std::vector<Bytes>>> BlockReader::collect(Sources sources, bool* retry_at_once) {
  std::vector<Bytes> blocks;
  blocks.reserve(sources.blocks.size());
  for (Sources::Block& source : sources.blocks) {
    if (source.bytes) {
      blocks.push_back(std::move(*source.bytes));
      continue;
    }
    Result<Bytes> block = co_await source.fetch->wait(source.need.index);
    if (!block.ok()) {
      *retry_at_once = source.fetch->prefetch;
      co_return std::move(block).error();
    }
    blocks.push_back(std::move(block).value());
  }
  co_return assemble(sources.slices, blocks);
}

// The block is cached or another handle has it under way; then this one holds it, too.
void BlockReader::hold_other(const BlockNeed& need, ReadAhead& ahead) {
  if (ahead.find(need.key())) return;
  BlockFetchPtr other = fetcher_.find(need.key());
  if (other) ahead.hold({need.file_offset, kBlockSize}, std::move(other), nullptr);
}

uint64_t BlockReader::prefetch(const std::vector<ReadSlice>& slices, uint64_t end, uint64_t piece,
                               const std::shared_ptr<ReadAhead>& ahead) {
  const SteadyTime deadline = context_->clock.steady() + context_->options.timeout;
  const std::vector<BlockNeed> needs = blocks_of(slices);
  for (size_t i = 0; i < needs.size();) {
    const BlockNeed& need = needs[i];
    if (!url_is_good(*need.object, false)) return need.file_offset;
    const uint64_t boundary = need.file_offset - need.file_offset % piece + piece;
    uint32_t run = 1;
    while (run < kRunMax && i + run < needs.size() &&
           same_run(needs[i + run - 1], needs[i + run]) && needs[i + run].file_offset < boundary) {
      ++run;
    }
    const auto budget = ahead->take_budget(run * kBlockSize);
    if (!budget) return need.file_offset;
    const BlockFetchPtr fetch =
        fetcher_.claim(need.object, need.index, run, {.prefetch = true, .even_if_cached = false});
    if (!fetch) {
      hold_other(need, *ahead);
      ++i;
      continue;
    }
    i += fetch->count;
    const uint64_t range_end = i < needs.size() ? needs[i].file_offset : end;
    ahead->hold({need.file_offset, range_end - need.file_offset}, fetch, budget);
    fetcher_.run(fetch, deadline, budget);
  }
  return end;
}

}  // namespace aster
