#include "server/primary/prober.h"

#include "protocol/base/log.h"

namespace aster::primary {
namespace {

constexpr int64_t kTokensKept = 7 * 86400;  // seconds after their end, for whoever asks what it was

Task<bool> await_end(Completion<bool> ended) {
  const bool done = co_await ended;
  co_return done;
}

}  // namespace

void Prober::start() {
  if (started_.exchange(true)) return;
  executor_.post([this] { aster::start(run(), [this] { ended_.set(true); }); });
}

void Prober::stop() {
  if (!started_ || stopping_.exchange(true)) return;
  const Completion<bool> wake = *wake_.lock();
  wake.set(true);
  run_blocking(await_end(ended_));
}

Task<void> Prober::run() {
  while (!stopping_) {
    co_await registry_.probe_all();
    co_await backends_.refresh_capacities();
    const Result<void> purged = co_await accounts_.purge_tokens(kTokensKept);
    if (!purged.ok()) ASTER_LOG(warn, "tokens_not_purged", {"err", purged.error()});
    co_await pause();
  }
}

Task<void> Prober::pause() {
  Completion<bool> wake;
  *wake_.lock() = wake;
  // stop() either saw this completion or set its flag before: both are looked at after this.
  if (stopping_) co_return;
  executor_.post_after(interval_, [wake] { wake.set(true); });
  co_await wake;
  co_await executor_.hop();
}

}  // namespace aster::primary
