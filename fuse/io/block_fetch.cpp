#include "fuse/io/block_fetch.h"

#include <algorithm>

#include "fuse/io/block_sink.h"
#include "protocol/base/log.h"
#include "protocol/envelope.h"

namespace aster {
namespace {

// A refusal that a fresh manifest may mend: the URL expired, or the object gave way to a composed
// one. Everything else keeps its own code.
Error refusal(const HttpClientResponse& response) {
  Error error =
      error_of_answer(response.status, as_text(response.body.view()), "reading an object");
  if (response.status == 401 || response.status == 403 || response.status == 404) {
    error.code = Errc::not_found;
  } else if (response.status >= 500 || response.status == 429 || response.status == 408) {
    error.code = Errc::unavailable;
  } else {
    error.code = Errc::io_error;
  }
  return error;
}

// One GET of `count` blocks. Blocks go to `on_block` as they come.
Task<Result<void>> get_blocks(std::shared_ptr<IoContext> context, ObjectAccessPtr object,
                              uint32_t first, uint32_t count, SteadyTime deadline,
                              BlockSink::OnBlock on_block) {
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - context->clock.steady());
  if (left.count() <= 0) co_return fail(Errc::timeout, "reading an object");
  auto sink = std::make_shared<BlockSink>(context->pool, context->bytes_read_remote, object, first,
                                          count, std::move(on_block));
  HttpClientRequest request;
  request.url = context->primary.absolute(object->url);
  request.headers.emplace_back("Range", sink->range_header());
  request.receiver = sink;
  request.max_body = 64 << 10;  // of an error answer
  request.total_timeout = left;
  Result<HttpClientResponse> response = co_await context->exchange(std::move(request));
  if (!response.ok()) co_return std::move(response).error();
  if (response->status < 200 || response->status > 299) co_return refusal(*response);
  co_return sink->finished();
}

}  // namespace

uint64_t block_length(const fs::ObjectAccess& object, uint32_t index) {
  return std::min<uint64_t>(kBlockSize, object.size - index * kBlockSize);
}

BlockFetch::BlockFetch(ObjectAccessPtr access, uint32_t first_block, uint32_t blocks,
                       bool is_prefetch)
    : object(std::move(access)),
      first(first_block),
      count(blocks),
      prefetch(is_prefetch),
      slots_(blocks) {}

uint64_t BlockFetch::bytes() const {
  return (count - 1) * kBlockSize + block_length(*object, first + count - 1);
}

std::optional<Result<Bytes>> BlockFetch::peek(uint32_t index) const {
  std::lock_guard lock(mutex_);
  return slots_[index - first].outcome;
}

bool BlockFetch::enlist(uint32_t slot, std::coroutine_handle<> waiter) {
  std::lock_guard lock(mutex_);
  if (slots_[slot].outcome) return false;
  slots_[slot].waiters.push_back(waiter);
  return true;
}

void BlockFetch::settle(uint32_t index, Result<Bytes> outcome, Executor& executor) {
  std::vector<std::coroutine_handle<>> waiters;
  {
    std::lock_guard lock(mutex_);
    Slot& slot = slots_[index - first];
    if (slot.outcome) return;
    slot.outcome.emplace(std::move(outcome));
    waiters.swap(slot.waiters);
  }
  for (const auto waiter : waiters) executor.post([waiter] { waiter.resume(); });
}

BlockFetchPtr BlockFetcher::find(const BlockKey& key) const {
  BlockFetchPtr fetch;
  {
    auto under_way = under_way_.lock();
    const auto it = under_way->find(key);
    if (it == under_way->end()) return nullptr;
    fetch = it->second;
  }
  const auto outcome = fetch->peek(key.index);
  return outcome && !outcome->ok() ? nullptr : fetch;
}

BlockFetchPtr BlockFetcher::claim(ObjectAccessPtr object, uint32_t first, uint32_t count,
                                  ClaimOptions options) {
  const auto taken = [&](const auto& under_way, const BlockKey& key) {
    const auto it = under_way.find(key);
    if (it == under_way.end()) return !options.even_if_cached && context_->cache.contains(key);
    const auto outcome = it->second->peek(key.index);
    return !outcome || outcome->ok();  // a failed one is done for: its place may be taken
  };
  auto under_way = under_way_.lock();
  uint32_t free = 0;
  while (free < count && !taken(*under_way, {object->id, first + free})) ++free;
  if (free == 0) return nullptr;
  auto fetch = std::make_shared<BlockFetch>(object, first, free, options.prefetch);
  for (uint32_t i = 0; i < free; ++i) (*under_way)[{object->id, first + i}] = fetch;
  return fetch;
}

void BlockFetcher::run(BlockFetchPtr fetch, SteadyTime deadline,
                       std::shared_ptr<const void> owner) {
  context_->spawn(work(std::move(fetch), deadline, std::move(owner)));
}

Task<void> BlockFetcher::work(BlockFetchPtr fetch, SteadyTime deadline,
                              [[maybe_unused]] std::shared_ptr<const void> owner) {
  const Result<void> outcome = co_await get_in_turn(fetch, deadline);
  const Error rest = outcome.ok() ? Error{Errc::io_error, "a block is missing"} : outcome.error();
  for (uint32_t i = 0; i < fetch->count; ++i) {
    fetch->settle(fetch->first + i, rest, context_->executor);
  }
  finish(fetch);
}

Task<Result<void>> BlockFetcher::get_in_turn(BlockFetchPtr fetch, SteadyTime deadline) {
  std::optional<BudgetShare> prefetch_slot;
  if (fetch->prefetch) {
    co_await context_->prefetch_slots.acquire(1);
    prefetch_slot.emplace(context_->prefetch_slots, 1);
  }
  co_await context_->download_slots.acquire(1);
  const BudgetShare slot(context_->download_slots, 1);
  auto bad = std::make_shared<std::vector<uint32_t>>();
  BlockSink::OnBlock on_block = [fetch, bad, context = context_](uint32_t index,
                                                                 Result<Bytes> block) {
    if (block.ok()) {
      fetch->settle(index, std::move(block), context->executor);
    } else {
      bad->push_back(index);
    }
  };
  const Result<void> outcome = co_await get_blocks(context_, fetch->object, fetch->first,
                                                   fetch->count, deadline, std::move(on_block));
  for (const uint32_t index : *bad) co_await fetch_again(fetch, index, deadline);
  co_return outcome;
}

// A block whose checksum was wrong gets one more chance.
Task<void> BlockFetcher::fetch_again(BlockFetchPtr fetch, uint32_t index, SteadyTime deadline) {
  const BlockKey key{fetch->object->id, index};
  ++context_->corrupt_blocks;
  const bool first_report = context_->first_report(key);
  if (first_report) {
    ASTER_LOG(warn, "corrupt_block", {"object", key.object.hex()}, {"block", index});
  }
  BlockSink::OnBlock on_block = [fetch, context = context_](uint32_t i, Result<Bytes> block) {
    if (!block.ok()) ++context->corrupt_blocks;
    fetch->settle(i, std::move(block), context->executor);
  };
  const Result<void> outcome =
      co_await get_blocks(context_, fetch->object, index, 1, deadline, std::move(on_block));
  if (!outcome.ok()) fetch->settle(index, outcome.error(), context_->executor);
}

// The cache is filled before the fetch is forgotten, so that nobody fetches in between.
void BlockFetcher::finish(const BlockFetchPtr& fetch) {
  const fs::ObjectAccess& object = *fetch->object;
  for (uint32_t i = 0; i < fetch->count; ++i) {
    const uint32_t index = fetch->first + i;
    const auto outcome = fetch->peek(index);
    if (outcome->ok()) {
      context_->cache.put({object.id, index}, object.crc32c[index - object.first_block],
                          outcome->value());
    }
  }
  auto under_way = under_way_.lock();
  for (uint32_t i = 0; i < fetch->count; ++i) {
    const auto it = under_way->find({object.id, fetch->first + i});
    if (it != under_way->end() && it->second == fetch) under_way->erase(it);
  }
}

}  // namespace aster
