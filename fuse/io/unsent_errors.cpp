#include "fuse/io/unsent_errors.h"

namespace aster {

void UnsentErrors::note(InodeNo ino, const Result<void>& outcome, int64_t now) {
  if (outcome.ok()) return forget(ino);
  auto entries = entries_.lock();
  Entry& entry = (*entries)[ino.value];
  if (entry.attempts == 0) entry.since = now;
  entry.ino = ino;
  entry.error = outcome.error();
  ++entry.attempts;
  count_ = entries->size();
}

void UnsentErrors::forget(InodeNo ino) {
  if (count_ == 0) return;
  auto entries = entries_.lock();
  entries->erase(ino.value);
  count_ = entries->size();
}

std::vector<UnsentErrors::Entry> UnsentErrors::all() const {
  std::vector<Entry> found;
  const auto entries = entries_.lock();
  for (const auto& [ino, entry] : *entries) found.push_back(entry);
  return found;
}

}  // namespace aster
