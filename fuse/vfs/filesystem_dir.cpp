#include "fuse/vfs/filesystem.h"

namespace aster {
namespace {

/// Entries per round trip: a page is about 300 KiB of JSON, well below fs::kBatchBytesMax.
constexpr uint32_t kPageEntries = 1024;

}  // namespace

Task<Result<HandleId>> Filesystem::opendir(InodeNo ino, Caller) {
  co_return directories_.add(std::make_shared<DirHandle>(ino));
}

Task<Result<DirSlice>> Filesystem::readdir(HandleId handle, uint64_t offset, Caller who) {
  ASTER_CO_TRY(const std::shared_ptr<DirHandle> directory, directories_.find(handle));
  if (const std::optional<DirSlice> slice = directory->at_hand(offset)) co_return *slice;
  if (auto page = listings_.find(directory->ino(), offset)) {
    if (inodes_.listing_holds(directory->ino(), page->ticket)) {
      if (offset == 0) was_read(directory->ino());
      co_return directory->take(offset, std::move(page));
    }
  }
  const InodeTable::Ticket ticket = inodes_.ticket();
  fs::Operation question =
      fs::ReadDir{directory->ino(), DirHandle::cookie_of(offset), kPageEntries};
  Result<fs::DirPage> page = co_await remote_.call<fs::DirPage>(std::move(question), who);
  if (page.failed_with(Errc::stale_handle) && inodes_.unlinked(directory->ino())) {
    co_return fail(Errc::not_found, "removed directory");  // as local file systems say
  }
  if (!page.ok()) co_return std::move(page).error();
  if (offset == 0) was_read(directory->ino());
  auto fetched = directory->page_of(offset, std::move(*page), ticket);
  if (leased()) listings_.put(directory->ino(), fetched);
  co_return directory->take(offset, std::move(fetched));
}

std::optional<Found> Filesystem::find_listed(InodeNo parent, const std::string& name) {
  const std::optional<DirCache::Line> line = listings_.find_name(parent, name);
  if (!line) return std::nullopt;
  const Duration ttl = inodes_.name_ttl(parent, name, line->page->ticket);
  if (ttl <= Duration::zero()) return std::nullopt;
  if (line->item == nullptr) return Found{std::nullopt, for_kernel(ttl)};
  const Entry entry = note_found(parent, name, line->item->attr, line->page->ticket);
  if (entry.attr_ttl > Duration::zero() && entry.entry_ttl > Duration::zero()) {
    return Found{entry, entry.entry_ttl};
  }
  inodes_.forget(line->item->attr.ino, 1);
  return std::nullopt;
}

Task<void> Filesystem::fetch_listing(InodeNo directory) {
  const std::optional<Lifeline::Guard> alive = lifeline_->enter();
  if (!alive) co_return;
  const InodeTable::Ticket ticket = inodes_.ticket();
  fs::Operation question = fs::ReadDir{directory, 0, kPageEntries};
  const Caller nobody;
  Result<fs::DirPage> page = co_await remote_.call<fs::DirPage>(std::move(question), nobody);
  if (!page.ok()) co_return;  // the look-ups go on one by one, and meet the same failure
  listings_.put(directory, DirHandle(directory).page_of(0, std::move(*page), ticket));
}

Entry Filesystem::listed(InodeNo directory, const DirItem& item, InodeTable::Ticket ticket) {
  return note_found(directory, item.name, item.attr, ticket);
}

void Filesystem::releasedir(HandleId handle) {
  directories_.remove(handle);
}

}  // namespace aster
