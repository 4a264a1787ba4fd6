#include <algorithm>

#include "fuse/io/attribute_change.h"
#include "fuse/io/remote_file.h"
#include "protocol/base/log.h"
#include "protocol/fs/json.h"

// durability=local: fsync and close wait for the journal of this machine instead of the servers.
namespace aster {
namespace {

// More unsent data of one file than this goes straight to the servers: the journal would only write
// it a second time.
constexpr uint64_t kJournaledAtOnce = 16 << 20;

std::string encode_items(std::vector<fs::BatchItem> items) {
  return fs::encode(fs::BatchRequest{SessionId(), false, std::move(items)});
}

std::string encode_attributes(const fs::SetAttr& change) {
  std::vector<fs::BatchItem> items;
  items.push_back({change, OperationId::random()});
  return encode_items(std::move(items));
}

Result<std::optional<fs::SetAttr>> decode_attributes(const std::string& text) {
  if (text.empty()) return std::optional<fs::SetAttr>();
  ASTER_TRY(const fs::BatchRequest request, fs::decode_batch_request(text));
  const auto* change =
      request.items.empty() ? nullptr : std::get_if<fs::SetAttr>(&request.items[0].operation);
  if (change == nullptr) return fail(Errc::corrupt, "write-back journal: bad attributes");
  return std::optional(*change);
}

}  // namespace

Task<Result<void>> RemoteFile::flush(bool sealed) {
  const auto self = shared_from_this();
  if (journal() != nullptr) {
    const Result<bool> secured = co_await secure(kJournaledAtOnce);
    if (secured.ok() && *secured) co_return ok();
    if (!secured.ok())
      ASTER_LOG(debug, "not_journaled", {"ino", ino_.value}, {"err", secured.error()});
  }
  // The journal is full, or this is too much for it: the writer waits for the servers.
  const Result<void> drained = co_await drain(sealed);
  const bool away = drained.failed_with(Errc::unavailable) || drained.failed_with(Errc::timeout);
  if (journal() == nullptr || !away || !journal()->takes_new()) co_return drained;
  // Nothing is too much when there is no other place. What is wrong with the journal is then what
  // the writer has to know.
  const Result<bool> secured = co_await secure(UINT64_MAX);
  if (!secured.ok()) co_return secured.error();
  if (*secured) co_return ok();
  co_return drained;
}

void RemoteFile::known_as(InodeNo parent, const std::string& name) {
  if (journal() == nullptr) return;
  auto state = state_.lock();
  state->parent = parent;
  state->name = name;
}

// True: everything that is dirty now is in the journal. False: it was more than `at_most`, or some
// of it has left memory.
Task<Result<bool>> RemoteFile::secure(uint64_t at_most) {
  const auto turn = co_await journaling_.acquire();
  for (bool first = true;; first = false) {
    JournaledWrite write;
    std::vector<ReadSlice> pieces;
    IntervalMap<State::Unjournaled> taken;
    {
      auto state = state_.lock();
      if (state->unjournaled.empty() && !state->attributes_unjournaled) co_return true;
      if (first && state->unjournaled.bytes() > at_most) co_return false;
      taken = take_unjournaled(*state);
      if (!gather(*state, taken, pieces)) {
        give_back(*state, taken);
        co_return false;
      }
      describe(*state, write);
    }
    const Result<uint64_t> number = co_await append_to_journal(std::move(write), std::move(pieces));
    auto state = state_.lock();
    if (!number.ok()) {
      give_back(*state, taken);
      state->attributes_unjournaled = true;
      co_return number.error();
    }
    state->last_number = *number;
  }
}

// As much as goes into one write of the journal.
IntervalMap<RemoteFile::State::Unjournaled> RemoteFile::take_unjournaled(State& state) {
  IntervalMap<State::Unjournaled> taken;
  uint64_t left = kJournaledAtOnce;
  for (const auto& [offset, entry] : state.unjournaled.map()) {
    const uint64_t length = std::min(entry.length, left);
    taken.insert(offset, length, {});
    left -= length;
    if (left == 0) break;
  }
  for (const auto& [offset, entry] : taken.map()) {
    state.unjournaled.erase(offset, offset + entry.length);
  }
  return taken;
}

void RemoteFile::give_back(State& state, const IntervalMap<State::Unjournaled>& taken) {
  for (const auto& [offset, entry] : taken.map()) {
    state.unjournaled.insert_below(offset, entry.length, {});
  }
}

// Everything of the write but its data.
void RemoteFile::describe(State& state, JournaledWrite& write) const {
  write.ino = ino_;
  write.base = state.attr.data_version;
  write.parent = state.parent;
  write.name = state.name;
  write.mtime = state.written_at.value_or(context_->clock.now_ns());
  std::optional<fs::SetAttr> attributes = state.deferred;
  if (state.sending) {
    if (!attributes) attributes = fs::SetAttr{.ino = ino_};
    add_below(*state.sending, *attributes);
  }
  if (attributes) write.attributes = encode_attributes(*attributes);
  state.attributes_unjournaled = false;
}

// False when some of it left already: it is at a follower, without a commit.
bool RemoteFile::gather(const State& state, const IntervalMap<State::Unjournaled>& ranges,
                        std::vector<ReadSlice>& pieces) {
  bool whole = true;
  const auto take = [&](uint64_t offset, uint64_t length, const DirtyPiece& piece) {
    if (piece.left()) whole = false;
    pieces.push_back({offset, length, {}, nullptr, 0, piece});
  };
  for (const auto& [offset, entry] : ranges.map()) {
    state.dirty.fresh().visit(
        offset, offset + entry.length,
        [&](uint64_t at, uint64_t n, const DirtyPiece& piece) { take(at, n, piece); },
        [&](uint64_t gap, uint64_t length) {
          state.dirty.pending().visit(
              gap, gap + length,
              [&](uint64_t at, uint64_t n, const PendingPiece& piece) {
                take(at, n, piece.memory);
              },
              [](uint64_t, uint64_t) {});
        });
  }
  return whole;
}

// Some of it may have been spilled.
Task<Result<uint64_t>> RemoteFile::append_to_journal(JournaledWrite write,
                                                     std::vector<ReadSlice> pieces) {
  const auto is_spilled = [](const ReadSlice& slice) { return !slice.spilled.in_memory(); };
  if (std::any_of(pieces.begin(), pieces.end(), is_spilled)) co_await context_->executor.hop();
  ASTER_CO_TRY(load_spilled(pieces));
  for (ReadSlice& slice : pieces) write.pieces.push_back({slice.offset, std::move(slice.bytes)});
  const Result<uint64_t> number = co_await journal()->append(std::move(write));
  co_return number;
}

// Before a commit leaves: after a crash exactly this request is repeated. Also when the journal has
// nothing of the file yet: what it gets meanwhile builds on the version that this commit makes.
Task<void> RemoteFile::note_sent(const SentCommit& sent) {
  if (journal() == nullptr || sent.planned.commit.extents.empty()) co_return;
  if (!journaled() && !journal()->takes_new()) co_return;
  std::string request = encode_items(sent.items);
  const Result<void> noted = co_await journal()->note_sent(ino_, sent.covers, std::move(request));
  // Without the note a crash between here and the answer ends in a conflict copy, not in a loss.
  if (!noted.ok())
    ASTER_LOG(warn, "commit_not_journaled", {"ino", ino_.value}, {"err", noted.error()});
}

void RemoteFile::note_answer(const Result<fs::Attr>& attr, uint64_t covers) {
  if (!journaled()) return;
  if (attr.ok()) {
    journal()->retire(ino_, covers, attr->data_version);
  } else if (!state_.lock()->unanswered) {
    journal()->forget_sent(ino_);
  }
}

// Also what no commit was needed for: attributes that went alone, data that was cut off.
Task<void> RemoteFile::retire_all() {
  const auto quiet = co_await journaling_.acquire();
  auto state = state_.lock();
  if (!state->dirty.empty() || state->deferred || state->sending) co_return;
  journal()->retire(ino_, state->last_number, state->attr.data_version);
}

// What a commit named and nobody wrote since need not be journaled any more.
void RemoteFile::forget_journaled(State& state, const fs::Commit& commit) {
  if (state.unjournaled.empty()) return;
  for (const fs::Extent& extent : commit.extents) {
    state.dirty.fresh().visit(
        extent.offset, extent.offset + extent.length, [](uint64_t, uint64_t, const DirtyPiece&) {},
        [&](uint64_t gap, uint64_t length) {
          state.dirty.pending().visit(
              gap, gap + length, [](uint64_t, uint64_t, const PendingPiece&) {},
              [&](uint64_t at, uint64_t n) { state.unjournaled.erase(at, at + n); });
        });
  }
}

Task<Result<void>> RemoteFile::recover(std::shared_ptr<const RecoveredWrites> writes) {
  const auto self = shared_from_this();
  for (const JournaledWrite& write : writes->writes) {
    // One write at a time: all of them may be more than there is memory.
    ASTER_CO_TRY(const std::vector<JournaledWrite::Piece> pieces, journal()->data(write.number));
    for (const JournaledWrite::Piece& piece : pieces) {
      ASTER_CO_TRY(co_await reserve(piece.data.size()));
      accept(piece.offset, piece.data);
    }
    ASTER_CO_TRY(const std::optional<fs::SetAttr> attributes, decode_attributes(write.attributes));
    auto state = state_.lock();
    state->unjournaled.clear();
    state->last_number = write.number;
    state->written_at = write.mtime;
    state->parent = write.parent;
    state->name = write.name;
    if (!attributes) continue;
    fs::SetAttr whole = *attributes;
    if (state->deferred) add_below(*state->deferred, whole);
    whole.ino = ino_;
    state->deferred = whole;
    state->deferred_at = context_->clock.now_ns();
  }
  co_return ok();
}

}  // namespace aster
