#include "fuse/io/spiller.h"

#include <utility>

#include "fuse/io/dirty_chunk.h"
#include "fuse/io/io_context.h"
#include "protocol/base/log.h"

namespace aster {
namespace {

// Written and synced at once.
constexpr uint64_t kBatch = 4 << 20;
// Chunks that are looked at in one go.
constexpr size_t kLookedAt = 256;
// The servers get this long to make room themselves. Where they did not lately, none.
constexpr Duration kGrace = std::chrono::milliseconds(100);
constexpr Duration kLately = std::chrono::seconds(1);
// A disk that failed or is full is not tried again before.
constexpr Duration kDiskPause = std::chrono::seconds(1);

}  // namespace

bool Spiller::needed() const {
  const DirtyBudget& budget = *context_.dirty_budget;
  const bool wanted = budget.has_waiters() || budget.in_use() > budget.room();
  return file_ != nullptr && wanted && !budget.refused() && !context_.stopped();
}

void Spiller::kick() {
  if (!needed()) return;
  {
    auto state = state_.lock();
    if (state->running || context_.clock.steady() < state->not_before) return;
    state->running = true;
  }
  context_.spawn(run());
}

Task<void> Spiller::run() {
  const std::optional<SteadyTime> last = state_.lock()->last;
  const bool at_once = last && context_.clock.steady() < *last + kLately;
  if (!at_once) co_await context_.pause(kGrace);
  co_await context_.executor.hop();
  const DirtyBudget& budget = *context_.dirty_budget;
  Result<bool> outcome = needed();
  // Some air, so that the next writer does not wait at once.
  for (uint64_t from = 0; outcome.ok() && *outcome;) {
    outcome = spill_some(from);
    note(outcome);
    const bool enough = !budget.has_waiters() && budget.in_use() <= budget.room() / 4 * 3;
    if (enough || budget.refused() || context_.stopped()) break;
  }
  state_.lock()->running = false;
  // Whoever came while this ended was not heard; who waits for a disk to recover is tried again.
  if (!needed()) co_return;
  context_.executor.post_after(kDiskPause, [weak = context_.weak_from_this()] {
    if (const auto context = weak.lock()) context->spiller.kick();
  });
}

// False: there is nothing left that could be spilled.
Result<bool> Spiller::spill_some(uint64_t& from) {
  std::vector<std::shared_ptr<DirtyChunk>> chunks;
  std::vector<Bytes> pieces;
  for (uint64_t bytes = 0; bytes < kBatch;) {
    const auto listed = context_.dirty_budget->listed(from, kLookedAt);
    if (listed.empty()) break;
    for (const auto& [number, chunk] : listed) {
      from = number + 1;
      std::optional<Bytes> piece = chunk->begin_spill();
      if (!piece) continue;
      bytes += piece->size();
      pieces.push_back(std::move(*piece));
      chunks.push_back(chunk);
      if (bytes >= kBatch) break;
    }
  }
  if (pieces.empty()) return false;
  ASTER_TRY(const std::vector<SpillFile::ExtentPtr> extents, file_->write(pieces));
  pieces.clear();
  for (size_t i = 0; i < chunks.size(); ++i) chunks[i]->spilled(extents[i]);
  return true;
}

void Spiller::note(const Result<bool>& outcome) {
  auto state = state_.lock();
  const SteadyTime now = context_.clock.steady();
  if (outcome.ok()) {
    if (*outcome && std::exchange(state->failing, false)) ASTER_LOG(info, "spilling_again");
    if (*outcome) state->last = now;
    return;
  }
  state->not_before = now + kDiskPause;
  if (std::exchange(state->failing, true)) return;
  ASTER_LOG(warn, "unsent_writes_not_spilled", {"err", outcome.error()},
            {"so", "writers wait for the servers"});
}

}  // namespace aster
