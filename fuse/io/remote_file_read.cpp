#include <algorithm>

#include "fuse/io/remote_file.h"

namespace aster {

/// One read() on its way, over several tries.
struct RemoteFile::Attempt {
  uint64_t offset;
  uint64_t length;
  std::shared_ptr<ReadAhead> ahead;
  SteadyTime deadline;
  SteadyTime planned{};      // when the last plan was made
  bool uncommitted = false;  // the last plan needed objects that no commit has named
  uint64_t unreadable_at = 0;
  bool noted = false;      // the read-ahead knows about this read
  bool refreshed = false;  // manifests are as fresh as this read
  bool retried = false;    // after a failed read-ahead
  unsigned refreshes = 0;
  Backoff backoff;
};

Task<Result<std::vector<Bytes>>> RemoteFile::read(uint64_t offset, uint64_t length,
                                                  std::shared_ptr<ReadAhead> ahead) {
  const auto self = shared_from_this();
  Attempt attempt{.offset = offset,
                  .length = length,
                  .ahead = std::move(ahead),
                  .deadline = context_->clock.steady() + context_->options.timeout};
  for (;;) {
    Result<std::vector<Bytes>> pieces = co_await try_read(attempt);
    if (pieces.ok()) co_return pieces;
    ASTER_CO_TRY(co_await recover(attempt, std::move(pieces).error()));
  }
}

Task<Result<std::vector<Bytes>>> RemoteFile::try_read(Attempt& attempt) {
  attempt.planned = context_->clock.steady();
  ReadPlan plan = this->plan(attempt.offset, attempt.length);
  while (plan.unknown_at) {
    ASTER_CO_TRY(co_await load_manifest(*plan.unknown_at, attempt.deadline));
    attempt.refreshed = true;
    attempt.planned = context_->clock.steady();
    if (attempt.planned >= attempt.deadline) co_return fail(Errc::timeout, "loading a manifest");
    plan = this->plan(attempt.offset, attempt.length);
  }
  attempt.uncommitted = plan.uncommitted;
  if (plan.spilled) {
    co_await context_->executor.hop();
    ASTER_CO_TRY(load_spilled(plan.slices));
  }
  uint64_t length = 0;
  for (const ReadSlice& slice : plan.slices) length += slice.length;
  BlockReader::Sources sources = reader_->look_up(std::move(plan.slices), attempt.ahead.get());
  if (sources.on_disk) {
    co_await context_->executor.hop();
    reader_->read_disk(sources);
  }
  reader_->fetch_missing(sources, attempt.deadline, attempt.refreshed);
  if (attempt.ahead && !std::exchange(attempt.noted, true) && length > 0) {
    read_ahead(attempt.ahead, {attempt.offset, length});
  }
  if (sources.needs_manifest) {
    attempt.unreadable_at = *sources.needs_manifest;
    co_return fail(Errc::not_found, "no URL to read an object with");
  }
  bool only_read_ahead = false;
  Result<std::vector<Bytes>> pieces =
      co_await reader_->collect(std::move(sources), &only_read_ahead);
  if (!pieces.ok() && only_read_ahead && !std::exchange(attempt.retried, true)) {
    co_return fail(Errc::interrupted, {});
  }
  attempt.unreadable_at = attempt.offset;
  co_return pieces;
}

// Returns ok when another try makes sense, after whatever should happen before it.
Task<Result<void>> RemoteFile::recover(Attempt& attempt, Error error) {
  if (context_->stopped()) co_return fail(Errc::interrupted, "the mount is ending");
  if (error.code == Errc::interrupted) co_return ok();  // a failed read-ahead: at once
  const bool refresh_helps = error.code == Errc::not_found;
  const bool may_pass = error.code == Errc::unavailable || error.code == Errc::timeout;
  if (!refresh_helps && !may_pass) co_return error;
  if (may_pass || ++attempt.refreshes > 1) {
    const Duration pause = attempt.backoff.next();
    if (context_->clock.steady() + pause >= attempt.deadline) {
      if (refresh_helps) error.code = Errc::io_error;
      co_return error;
    }
    co_await context_->pause(pause);
  }
  if (refresh_helps) ASTER_CO_TRY(co_await refresh(attempt));
  co_return ok();
}

// Gets new URLs, and the objects that took the place of those that are gone.
Task<Result<void>> RemoteFile::refresh(Attempt& attempt) {
  if (attempt.uncommitted) ASTER_CO_TRY(co_await commit_uploaded());
  auto state = state_.lock();
  const uint64_t size = visible_size(*state);
  const uint64_t end = attempt.length < size ? attempt.offset + attempt.length : size;
  for (uint64_t at = attempt.offset; at < end; at += ManifestMap::kWindow) {
    state->manifest.forget(at, attempt.planned);
  }
  state->manifest.forget(attempt.unreadable_at, attempt.planned);
  co_return ok();
}

ReadPlan RemoteFile::plan(uint64_t offset, uint64_t length) const {
  ReadPlan plan;
  auto state = state_.lock();
  if (state->stale) {
    plan.unknown_at = offset;
    return plan;
  }
  const uint64_t size = visible_size(*state);
  if (offset >= size) return plan;
  const uint64_t end = offset + std::min(length, size - offset);
  state->dirty.fresh().visit(
      offset, end,
      [&](uint64_t at, uint64_t n, const DirtyPiece& piece) {
        if (!plan.unknown_at) plan.add(at, n, piece);
      },
      [&](uint64_t at, uint64_t n) { plan_pending(*state, at, n, plan); });
  return plan;
}

void RemoteFile::plan_pending(const State& state, uint64_t offset, uint64_t length,
                              ReadPlan& plan) {
  state.dirty.pending().visit(
      offset, offset + length,
      [&](uint64_t at, uint64_t n, const PendingPiece& piece) {
        if (plan.unknown_at) return;
        if (!piece.memory.left()) {
          plan.add(at, n, piece.memory);
          return;
        }
        plan.slices.push_back(
            {at, n, {}, piece.object->access, piece.object->base + piece.object_offset, {}});
        plan.uncommitted = true;
      },
      [&](uint64_t at, uint64_t n) { plan_manifest(state, at, n, plan); });
}

void RemoteFile::plan_manifest(const State& state, uint64_t offset, uint64_t length,
                               ReadPlan& plan) {
  if (plan.unknown_at) return;
  const uint64_t end = offset + length;
  const uint64_t stored_end = std::clamp(state.attr.size, offset, end);
  const uint64_t known = std::clamp(state.manifest.known_until(offset), offset, stored_end);
  state.manifest.extents().visit(
      offset, known,
      [&](uint64_t at, uint64_t n, const ObjectPiece& piece) {
        plan.slices.push_back({at, n, {}, piece.object, piece.object_offset, {}});
      },
      [&](uint64_t at, uint64_t n) { append_zeros(at, n, plan.slices); });
  if (known < stored_end) {
    plan.unknown_at = known;
    return;
  }
  append_zeros(stored_end, end - stored_end, plan.slices);
}

void RemoteFile::read_ahead(const std::shared_ptr<ReadAhead>& ahead, FileRange read) {
  uint64_t file_size = 0;
  {
    auto state = state_.lock();
    file_size = visible_size(*state);
  }
  const auto advice = ahead->note(read, file_size);
  if (!advice || context_->stopped()) return;
  const ReadPlan plan = this->plan(advice->range.offset, advice->range.length);
  const uint64_t end = plan.unknown_at.value_or(advice->range.end());
  const uint64_t done = reader_->prefetch(plan.slices, end, advice->piece, ahead);
  if (done < advice->range.end()) ahead->stopped_at(done);
}

// One load at a time; whoever waited finds what the other loaded. `at_most`: a window from `offset`
// on of that length instead of the usual one.
Task<Result<void>> RemoteFile::load_manifest(uint64_t offset, SteadyTime deadline,
                                             std::optional<uint64_t> at_most) {
  const auto loading = co_await loading_.acquire();
  const std::optional<ManifestLoad> load = begin_load(offset, at_most);
  if (!load) co_return ok();
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - context_->clock.steady());
  if (left.count() <= 0) co_return fail(Errc::timeout, "loading a manifest");
  const fs::GetManifest ask{ino_, load->window.offset, load->window.length};
  ASTER_CO_TRY(const fs::Manifest manifest,
               co_await context_->primary.call<fs::Manifest>(ask, left));
  co_return finish_load(*load, manifest);
}

std::optional<RemoteFile::ManifestLoad> RemoteFile::begin_load(
    uint64_t offset, std::optional<uint64_t> at_most) const {
  auto state = state_.lock();
  if (!state->stale && state->manifest.known_until(offset) > offset) return std::nullopt;
  return ManifestLoad{at_most ? state->manifest.window_from(offset, *at_most)
                              : state->manifest.window_to_load(offset),
                      state->epoch, state->attr.data_version};
}

Result<void> RemoteFile::finish_load(const ManifestLoad& load, const fs::Manifest& manifest) {
  auto state = state_.lock();
  // An answer from before a change is no good; the caller sees that nothing is known and asks
  // again.
  const uint64_t answered = manifest.attr.data_version;
  const bool overtaken = answered >= load.version && answered < state->attr.data_version;
  if (overtaken || state->epoch != load.epoch) return ok();
  if (answered < load.version) {  // the primary was restored from a backup
    state->manifest.clear();
    state->attr = manifest.attr;
  }
  adopt(*state, manifest.attr);
  state->stale = false;
  return state->manifest.install(load.window, manifest, context_->clock.steady());
}

// Whoever reads one of these files meanwhile waits for this answer instead of asking, too.
Task<void> RemoteFile::warm(std::vector<std::shared_ptr<RemoteFile>> files) {
  struct Loading {
    std::shared_ptr<RemoteFile> file;
    AsyncMutex::Lock lock;
    ManifestLoad load;
  };
  std::vector<Loading> loading;
  std::vector<fs::BatchItem> questions;
  for (const std::shared_ptr<RemoteFile>& file : files) {
    std::optional<AsyncMutex::Lock> lock = file->loading_.try_acquire();
    if (!lock) continue;  // somebody reads it already
    const std::optional<ManifestLoad> load = file->begin_load(0, std::nullopt);
    if (!load) continue;
    questions.push_back(
        {fs::GetManifest{file->ino_, load->window.offset, load->window.length}, std::nullopt});
    loading.push_back({file, std::move(*lock), *load});
  }
  if (loading.empty()) co_return;
  const std::shared_ptr<IoContext> context = loading[0].file->context_;
  const Result<fs::BatchAnswer> answer =
      co_await context->primary.batch(std::move(questions), context->options.timeout);
  // What fails here fails again, and is told, when somebody reads the file.
  if (!answer.ok() || answer->results.size() != loading.size()) co_return;
  for (size_t i = 0; i < loading.size(); ++i) {
    const Result<fs::Answer>& one = answer->results[i];
    const auto* manifest = one.ok() ? std::get_if<fs::Manifest>(&*one) : nullptr;
    if (manifest == nullptr) continue;
    if (!loading[i].file->finish_load(loading[i].load, *manifest).ok()) continue;
    loading[i].lock.release();
    loading[i].file->fetch_whole();
  }
}

void RemoteFile::fetch_whole() {
  const uint64_t size = state_.lock()->attr.size;
  const ReadPlan plan = this->plan(0, size);
  if (plan.unknown_at || context_->stopped()) return;
  reader_->prefetch(plan.slices, size, kTransferSize, std::make_shared<ReadAhead>(context_));
}

struct RemoteFile::SeekStep {
  enum class Kind { found, past_end, unknown } kind;
  uint64_t at = 0;  // found: the answer; unknown: what to load
};

Task<Result<uint64_t>> RemoteFile::seek(uint64_t offset, bool hole) {
  // Looks over holes in strides that grow so fast that few answers lead from any place to any
  // other. The primary ends an answer where it becomes too long.
  static constexpr uint64_t kLargestStride = 1ull << 62;
  static constexpr uint64_t kGrowth = 16;
  const auto self = shared_from_this();
  const SteadyTime deadline = context_->clock.steady() + context_->options.timeout;
  uint64_t stride = ManifestMap::kWindow;
  for (;;) {
    const SeekStep step = seek_step(offset, hole);
    if (step.kind == SeekStep::Kind::found) co_return step.at;
    if (step.kind == SeekStep::Kind::past_end) {
      co_return fail(Errc::no_attribute, "seek past the end of the file");
    }
    offset = step.at;  // up to here all is hole (or all is data)
    if (context_->clock.steady() >= deadline) co_return fail(Errc::timeout, "seek");
    ASTER_CO_TRY(co_await load_manifest(step.at, deadline, stride));
    stride = std::min(stride, kLargestStride / kGrowth) * kGrowth;
  }
}

// Walks from `at` over what is known.
RemoteFile::SeekStep RemoteFile::seek_step(uint64_t at, bool hole) const {
  using Kind = SeekStep::Kind;
  auto state = state_.lock();
  if (state->stale) return {Kind::unknown, at};
  const uint64_t size = visible_size(*state);
  if (at >= size) return {Kind::past_end, 0};
  const auto& fresh = state->dirty.fresh();
  const auto& pending = state->dirty.pending();
  const auto& stored = state->manifest.extents();
  while (at < size) {
    const uint64_t data_end =
        std::max({fresh.covered_until(at), pending.covered_until(at), stored.covered_until(at)});
    if (data_end > at) {
      if (!hole) return {Kind::found, at};
      at = data_end;
      continue;
    }
    const uint64_t known = at < state->attr.size ? state->manifest.known_until(at) : UINT64_MAX;
    if (known == at) return {Kind::unknown, at};
    if (hole) return {Kind::found, at};
    at =
        std::min({known, fresh.next_covered(at).value_or(size),
                  pending.next_covered(at).value_or(size), stored.next_covered(at).value_or(size)});
  }
  if (hole) return {Kind::found, size};
  return {Kind::past_end, 0};
}

}  // namespace aster
