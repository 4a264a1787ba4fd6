#include "fuse/io/attribute_change.h"
#include "fuse/io/remote_file.h"
#include "protocol/base/log.h"

namespace aster {
namespace {

// A change that no flush comes for leaves alone after this.
constexpr Duration kDeferredAtMost = std::chrono::seconds(1);

}  // namespace

bool RemoteFile::defer(const fs::SetAttr& change) {
  if (change.size) return false;
  bool first = false;
  {
    auto state = state_.lock();
    if (state->dirty.empty() || context_->stopped()) return false;
    first = !state->deferred;
    fs::SetAttr whole = change;
    if (state->deferred) add_below(*state->deferred, whole);
    whole.ino = ino_;
    state->deferred = whole;
    state->deferred_at = context_->clock.now_ns();
    state->attributes_unjournaled = journal() != nullptr;
    if (change.mtime) state->written_at = change.mtime;
  }
  if (first) {
    context_->executor.post_after(kDeferredAtMost, [weak = weak_from_this()] {
      const auto file = weak.lock();
      if (file) file->context_->spawn(file->send_deferred_alone());
    });
  }
  return true;
}

// To be followed by deferred_sent(). Called by whoever has the turn.
std::optional<fs::SetAttr> RemoteFile::take_deferred() {
  auto state = state_.lock();
  state->sending = std::exchange(state->deferred, std::nullopt);
  return state->sending;
}

// What the primary refused is not tried again: its reason will not go away. The caller reports it.
void RemoteFile::deferred_sent(const Result<void>& outcome) {
  auto state = state_.lock();
  std::optional<fs::SetAttr> sent = std::exchange(state->sending, std::nullopt);
  if (!sent || outcome.ok()) return;
  const Errc code = outcome.error().code;
  if (code != Errc::unavailable && code != Errc::timeout && code != Errc::interrupted) return;
  if (state->deferred) {
    add_below(*sent, *state->deferred);
  } else {
    state->deferred = std::move(sent);
  }
}

Task<Result<void>> RemoteFile::send_attributes(fs::SetAttr attributes) {
  const Result<fs::Attr> attr =
      co_await context_->primary.call<fs::Attr>(attributes, context_->options.timeout);
  if (!attr.ok()) {
    deferred_sent(attr.error());
    co_return attr.error();
  }
  adopt(*state_.lock(), *attr);
  deferred_sent(ok());
  co_return ok();
}

Task<void> RemoteFile::send_deferred_alone() {
  const auto self = shared_from_this();
  if (context_->stopped()) co_return;
  const auto turn = co_await turn_.acquire();
  const std::optional<fs::SetAttr> attributes = take_deferred();
  if (!attributes) co_return;
  const Result<void> sent = co_await send_attributes(*attributes);
  // Still deferred after a lost connection: the next flush takes it along.
  if (!sent.ok())
    ASTER_LOG(debug, "attributes_not_sent", {"ino", ino_.value}, {"err", sent.error()});
}

}  // namespace aster
