#include "server/storage/directory_sync.h"

#include <sys/stat.h>
#include <unistd.h>

namespace aster::storage {

Task<Result<void>> DirectorySync::sync(std::shared_ptr<const UniqueFd> directory) {
  const auto state = state_;
  struct stat info {};
  if (::fstat(directory->get(), &info) != 0) co_return fail_errno("stat of a directory");
  const Key key{info.st_dev, info.st_ino};
  const Completion<Result<void>> done;
  bool lead = false;
  {
    auto waiting = state->waiting.lock();
    const auto [entry, fresh] = waiting->try_emplace(key);
    entry->second.push_back(done);
    lead = fresh;
  }
  if (lead) {
    // The last waiter may be gone before the run has looked for another round.
    state->executor.post([state, key, directory] { run(*state, key, directory->get()); });
  }
  Result<void> outcome = co_await done;
  co_return outcome;
}

void DirectorySync::run(State& state, Key key, int directory) {
  for (;;) {
    Waiters round;
    {
      auto waiting = state.waiting.lock();
      const auto entry = waiting->find(key);
      round.swap(entry->second);
      if (round.empty()) {
        waiting->erase(entry);
        return;
      }
    }
    Result<void> outcome;
    if (::fsync(directory) != 0) outcome = fail_errno("fsync of a directory");
    // Not resumed here: what they do next must not delay the next round.
    for (const auto& done : round) state.executor.post([done, outcome] { done.set(outcome); });
  }
}

}  // namespace aster::storage
