#include "fuse/vfs/dir_cache.h"

namespace aster {

void DirCache::erase(State& state, uint64_t directory) {
  const auto found = state.listings.find(directory);
  if (found == state.listings.end()) return;
  for (const auto& [start, page] : found->second.pages) state.items -= page->items.size();
  state.ages.erase(found->second.age);
  state.listings.erase(found);
}

void DirCache::put(InodeNo directory, std::shared_ptr<const DirItems> page) {
  auto state = state_.lock();
  const size_t size = page->items.size();
  if (size > items_limit_) return;
  // The first page of a newer listing: what was there of an older one goes.
  if (page->start == 0) erase(*state, directory.value);
  const auto [found, added] = state->listings.try_emplace(directory.value);
  if (added) found->second.age = state->ages.insert(state->ages.end(), directory.value);
  auto& slot = found->second.pages[page->start];
  if (slot) state->items -= slot->items.size();
  slot = std::move(page);
  state->items += size;
  while (state->items > items_limit_) erase(*state, state->ages.front());
}

std::shared_ptr<const DirItems> DirCache::find(InodeNo directory, uint64_t offset) const {
  auto state = state_.lock();
  const auto found = state->listings.find(directory.value);
  if (found == state->listings.end()) return nullptr;
  const auto& pages = found->second.pages;
  auto at = pages.upper_bound(offset);
  if (at == pages.begin()) return nullptr;
  const std::shared_ptr<const DirItems>& page = std::prev(at)->second;
  const bool more = page->end || (!page->items.empty() && offset < page->items.back().next);
  return more ? page : nullptr;
}

void DirCache::drop(InodeNo directory) {
  erase(*state_.lock(), directory.value);
}

}  // namespace aster
