#include "server/primary/duty.h"

#include <pthread.h>

#include "protocol/base/log.h"

namespace aster::primary {

void Duty::start() {
  if (thread_.joinable()) return;
  next_ = std::chrono::steady_clock::now();
  thread_ = std::jthread([this](std::stop_token stop) { run(stop); });
}

void Duty::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void Duty::wake_within(Duration delay) {
  const SteadyTime at = std::chrono::steady_clock::now() + delay;
  {
    std::lock_guard lock(mutex_);
    if (next_ <= at) return;
    next_ = at;
  }
  changed_.notify_all();
}

void Duty::run(std::stop_token stop) {
  pthread_setname_np(pthread_self(), name_.substr(0, 15).c_str());
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    const SteadyTime due = next_;
    if (std::chrono::steady_clock::now() < due) {
      changed_.wait_until(lock, stop, due, [&] { return next_ < due; });
      continue;
    }
    next_ = std::chrono::steady_clock::now() + period_;
    lock.unlock();
    const Result<void> done = run_blocking(round_());
    if (!done.ok()) ASTER_LOG(warn, "duty_failed", {"duty", name_}, {"err", done.error()});
    lock.lock();
  }
}

}  // namespace aster::primary
