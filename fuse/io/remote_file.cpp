#include "fuse/io/remote_file.h"

#include <algorithm>

#include "fuse/io/attribute_change.h"

namespace aster {
namespace {

// Dirty bytes of a file from which on the part size is asked for, ahead of its first full part.
constexpr uint64_t kAskPartSizeAt = 4 << 20;

Error too_large() {
  return fail(Errc::too_large, "write beyond the largest file");
}

}  // namespace

RemoteFile::RemoteFile(std::shared_ptr<IoContext> context, std::shared_ptr<BlockReader> reader,
                       std::shared_ptr<Packer> packer, const fs::Attr& attr)
    : context_(std::move(context)),
      reader_(std::move(reader)),
      packer_(std::move(packer)),
      ino_(attr.ino),
      uploader_(context_, attr.ino),
      turn_(context_->executor),
      loading_(context_->executor),
      journaling_(context_->executor),
      state_(context_->dirty_budget, context_->pool, attr) {
  if (attr.size == 0) state_.lock()->manifest.install_empty();
}

RemoteFile::~RemoteFile() {
  if (state_.lock()->registered) context_->forget_dirty(this);
}

uint64_t RemoteFile::visible_size(const State& state) {
  return std::max(state.attr.size, state.dirty.end());
}

// Answers may overtake each other: only what is newer is taken.
void RemoteFile::adopt(State& state, const fs::Attr& attr) {
  if (attr.data_version > state.attr.data_version) {
    state.manifest.clear();
    state.attr = attr;
    if (attr.size == 0) state.manifest.install_empty();
  } else if (attr.data_version == state.attr.data_version && attr.change >= state.attr.change) {
    state.attr = attr;
  }
}

Task<Result<void>> RemoteFile::reserve(uint64_t bytes) {
  if (context_->dirty_budget->try_acquire(bytes)) co_return ok();
  const Result<void> waited = co_await context_->dirty_budget->acquire(bytes);
  co_return waited;
}

Task<Result<void>> RemoteFile::write(uint64_t offset, Bytes data) {
  const auto self = shared_from_this();
  if (data.empty()) co_return ok();
  if (offset > fs::kFileSizeMax || data.size() > fs::kFileSizeMax - offset) co_return too_large();
  ASTER_CO_TRY(co_await reserve(data.size()));
  accept(offset, data);
  co_return ok();
}

Task<Result<uint64_t>> RemoteFile::append(Bytes data) {
  const auto self = shared_from_this();
  const SteadyTime deadline = context_->clock.steady() + context_->options.timeout;
  for (;;) {
    const std::optional<uint64_t> end = size();
    if (end && data.size() > fs::kFileSizeMax - *end) co_return too_large();
    if (end) break;
    ASTER_CO_TRY(co_await load_manifest(0, deadline));
    if (context_->clock.steady() >= deadline) co_return fail(Errc::timeout, "append");
  }
  ASTER_CO_TRY(co_await reserve(data.size()));
  co_return accept_at_end(data);
}

void RemoteFile::accept(uint64_t offset, const Bytes& data) {
  std::vector<UploadObjectPtr> full;
  {
    auto state = state_.lock();
    full = take_in(*state, offset, data);
  }
  after_write(std::move(full));
}

uint64_t RemoteFile::accept_at_end(const Bytes& data) {
  std::vector<UploadObjectPtr> full;
  uint64_t offset = 0;
  {
    auto state = state_.lock();
    offset = visible_size(*state);
    full = take_in(*state, offset, data);
  }
  after_write(std::move(full));
  return offset;
}

// Puts the bytes into dirty memory and seals the parts that are full now.
std::vector<UploadObjectPtr> RemoteFile::take_in(State& state, uint64_t offset, const Bytes& data) {
  state.dirty.write(offset, data.view());
  if (journal() != nullptr) {
    const auto [begin, before] = state.unjournaled.ending_at(offset);
    const uint64_t from = before != nullptr ? begin : offset;
    state.unjournaled.insert(from, offset + data.size() - from, {});
  }
  state.written_at = context_->clock.now_ns();
  if (state.deferred) state.deferred->mtime.reset();  // this write is later
  register_while_dirty(state);
  const bool later =
      state.collecting || context_->stopped() || context_->clock.steady() < state.retry_after;
  const uint64_t part_size = uploader_.grants().known_part_size();
  if (later || part_size == 0) return {};
  return state.dirty.seal_full_parts(offset, offset + data.size(), part_size);
}

// The context knows the file exactly while it has something to upload or to let go of.
void RemoteFile::register_while_dirty(State& state) {
  const bool dirty = !state.dirty.empty();
  if (std::exchange(state.registered, dirty) == dirty) return;
  if (dirty) {
    context_->register_dirty(this, weak_from_this());
  } else {
    context_->forget_dirty(this);
  }
}

void RemoteFile::after_write(std::vector<UploadObjectPtr> full) {
  start_uploads(std::move(full));
  if (uploader_.grants().known_part_size() == 0 && sealable_bytes() >= kAskPartSizeAt) {
    ask_part_size();
  }
}

Task<Result<fs::Attr>> RemoteFile::truncate(fs::SetAttr change) {
  const auto self = shared_from_this();
  if (journaled()) {
    // A cut that overtook journaled writes would be undone when they are sent.
    ASTER_CO_TRY(co_await drain(false));
  }
  const auto turn = co_await turn_.acquire();
  ASTER_CO_TRY(co_await repeat_unanswered());
  const uint64_t epoch = state_.lock()->epoch;
  fs::SetAttr whole = change;
  if (const std::optional<fs::SetAttr> deferred = take_deferred()) add_below(*deferred, whole);
  if (change.size) whole.mtime = change.mtime;  // the cut is later than a time that was set before
  const Result<fs::Attr> answer =
      co_await context_->primary.call<fs::Attr>(whole, context_->options.timeout);
  if (!answer.ok()) {
    deferred_sent(answer.error());
    co_return answer.error();
  }
  const fs::Attr attr = *answer;
  deferred_sent(ok());
  {
    auto state = state_.lock();
    if (change.size) {
      state->dirty.cut(*change.size);
      state->unjournaled.erase(*change.size, UINT64_MAX);
    }
    register_while_dirty(*state);
    adopt(*state, attr);
    if (state->epoch == epoch && change.size) state->stale = false;
    if (state->dirty.empty()) {
      state->written_at.reset();
    } else if (change.mtime) {
      state->written_at = change.mtime;
    } else if (change.size) {
      state->written_at = std::max(state->written_at.value_or(0), attr.mtime);
    }
  }
  context_->relieve();
  co_return attr;
}

fs::Attr RemoteFile::overlay(fs::Attr attr) const {
  auto state = state_.lock();
  // An answer from before our own commit: all of it is older, not only the size.
  if (attr.data_version < state->attr.data_version) attr = state->attr;
  lay_over(state->sending, state->deferred_at, attr);
  lay_over(state->deferred, state->deferred_at, attr);
  if (state->dirty.empty()) return attr;
  attr.size = std::max(attr.size, state->dirty.end());
  attr.allocated = std::min(attr.size, attr.allocated + state->dirty.bytes());
  if (state->written_at) {
    attr.mtime = *state->written_at;
    attr.ctime = std::max(attr.ctime, *state->written_at);
  }
  return attr;
}

bool RemoteFile::dirty() const {
  auto state = state_.lock();
  return !state->dirty.empty() || state->deferred || state->sending;
}

std::optional<uint64_t> RemoteFile::size() const {
  auto state = state_.lock();
  if (state->stale) return std::nullopt;
  return visible_size(*state);
}

void RemoteFile::invalidate() {
  auto state = state_.lock();
  ++state->epoch;
  state->stale = true;
  state->manifest.clear();
}

void RemoteFile::observe(const fs::Attr& attr) {
  adopt(*state_.lock(), attr);
}

}  // namespace aster
