#include "fuse/vfs/dir_cache.h"

#include "protocol/fs/messages.h"

namespace aster {
namespace {

/// Directories whose look-ups are counted; above that, counting starts anew.
constexpr size_t kMissesMax = 16384;
/// One look-up may be all there is; a second one of the same directory is a walk over it.
constexpr uint32_t kFirstFetch = 2;
/// The listing was lost, or does not have the names that are asked for.
constexpr uint32_t kFetchAgain = 256;
/// So many small files of one directory are opened before the next ones are named; one or two are
/// what a program needs of a directory.
constexpr size_t kWalkFrom = 3;
constexpr size_t kNamedAhead = 32;
constexpr uint64_t kBytesAhead = 2 << 20;

}  // namespace

bool DirCache::is_small_file(const fs::Attr& attr) {
  return attr.type == fs::FileType::regular && attr.size > 0 && attr.size <= kBlockSize;
}

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

std::optional<DirCache::Line> DirCache::find_line(const Listing& listing, const std::string& name) {
  for (const auto& [start, page] : listing.pages) {
    const auto line = page->by_name.find(name);
    if (line != page->by_name.end()) return Line{page, &page->items[line->second]};
  }
  // Pages of several answers are not one state of the directory.
  const auto& first = listing.pages.begin()->second;
  if (first->start == 0 && first->end) return Line{first, nullptr};
  return std::nullopt;
}

std::optional<DirCache::Line> DirCache::find_name(InodeNo directory,
                                                  const std::string& name) const {
  auto state = state_.lock();
  const auto found = state->listings.find(directory.value);
  if (found == state->listings.end()) return std::nullopt;
  return find_line(found->second, name);
}

std::vector<InodeNo> DirCache::next_to_read(InodeNo directory, const std::string& name) {
  std::vector<InodeNo> next;
  auto state = state_.lock();
  const auto found = state->listings.find(directory.value);
  if (found == state->listings.end()) return next;
  const std::optional<Line> line = find_line(found->second, name);
  if (!line || line->item == nullptr) return next;
  Walk& walk = found->second.walk;
  const std::vector<DirItem>& items = line->page->items;
  if (walk.page != line->page) walk = {line->page, std::vector<bool>(items.size()), 0, 0};
  const auto at = static_cast<size_t>(line->item - items.data());
  if (walk.named[at] && walk.ahead > 0) --walk.ahead;
  walk.named[at] = true;
  if (++walk.opened < kWalkFrom || walk.ahead > kNamedAhead / 2) return next;
  uint64_t bytes = 0;
  for (size_t i = 1; i < items.size() && next.size() < kNamedAhead && bytes < kBytesAhead; ++i) {
    const size_t position = (at + i) % items.size();
    const fs::Attr& attr = items[position].attr;
    if (walk.named[position] || !is_small_file(attr)) continue;
    walk.named[position] = true;
    bytes += attr.size;
    next.push_back(attr.ino);
  }
  walk.ahead += next.size();
  return next;
}

bool DirCache::missed(InodeNo directory) {
  auto misses = misses_.lock();
  if (misses->size() >= kMissesMax) misses->clear();
  const uint32_t count = ++(*misses)[directory.value];
  return count == kFirstFetch || count % kFetchAgain == 0;
}

}  // namespace aster
