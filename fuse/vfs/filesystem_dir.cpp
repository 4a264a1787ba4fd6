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

Entry Filesystem::listed(InodeNo directory, const DirItem& item, InodeTable::Ticket ticket) {
  return note_found(directory, item.name, item.attr, ticket);
}

void Filesystem::releasedir(HandleId handle) {
  directories_.remove(handle);
}

}  // namespace aster
