#include "fuse/vfs/dir_handle.h"

#include <algorithm>

namespace aster {
namespace {

DirItem dot(std::string name, uint64_t next, InodeNo ino) {
  DirItem item;
  item.name = std::move(name);
  item.next = next;
  item.attr.ino = ino;
  item.attr.type = fs::FileType::directory;
  item.dot = true;
  return item;
}

DirSlice after(std::shared_ptr<const DirItems> page, uint64_t offset) {
  const auto first =
      std::upper_bound(page->items.begin(), page->items.end(), offset,
                       [](uint64_t wanted, const DirItem& item) { return wanted < item.next; });
  const auto begin = static_cast<size_t>(first - page->items.begin());
  return {std::move(page), begin};
}

}  // namespace

std::optional<DirSlice> DirHandle::at_hand(uint64_t offset) const {
  const std::shared_ptr<const DirItems> page = *page_.lock();
  if (!page || offset == 0 || offset < page->start) return std::nullopt;
  DirSlice slice = after(page, offset);
  if (slice.begin == page->items.size() && !page->end) return std::nullopt;
  return slice;
}

std::shared_ptr<const DirItems> DirHandle::page_of(uint64_t offset, fs::DirPage fetched,
                                                   InodeTable::Ticket ticket) const {
  auto page = std::make_shared<DirItems>();
  page->end = fetched.end || fetched.entries.empty();
  page->ticket = ticket;
  page->start = offset <= 2 ? 0 : offset;
  page->items.reserve(fetched.entries.size() + 2);
  if (offset <= 2) {
    page->items.push_back(dot(".", 1, ino_));
    page->items.push_back(dot("..", 2, fetched.parent));
  }
  for (fs::DirEntry& entry : fetched.entries) {
    page->items.push_back({std::move(entry.name), entry.cookie + 2, std::move(entry.attr), false});
  }
  page->by_name.reserve(page->items.size());
  for (size_t i = 0; i < page->items.size(); ++i) {
    if (!page->items[i].dot) page->by_name.emplace(page->items[i].name, i);
  }
  return page;
}

DirSlice DirHandle::take(uint64_t offset, std::shared_ptr<const DirItems> page) {
  *page_.lock() = page;
  return after(std::move(page), offset);
}

}  // namespace aster
