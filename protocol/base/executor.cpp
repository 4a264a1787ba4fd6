#include "protocol/base/executor.h"

#include <pthread.h>

namespace aster {

Executor::Executor(Options options) : options_(std::move(options)) {
  for (size_t i = 0; i < options_.threads; ++i) threads_.emplace_back([this, i] { work(i); });
}

Executor::~Executor() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    while (!idle_.empty()) wake_one();
    wake_one();
  }
  threads_.clear();
}

// Signals go out under the lock: without it the work could run first and its end destroy this pool.
void Executor::post(std::function<void()> work) {
  std::lock_guard lock(mutex_);
  queue_.push_back(std::move(work));
  wake_one();
}

bool Executor::try_post(std::function<void()>& work) {
  std::lock_guard lock(mutex_);
  if (queue_.size() >= options_.queue_limit) return false;
  queue_.push_back(std::move(work));
  wake_one();
  return true;
}

void Executor::post_after(Duration delay, std::function<void()> work) {
  std::lock_guard lock(mutex_);
  const auto timer = timers_.emplace(std::chrono::steady_clock::now() + delay, std::move(work));
  if (keeper_ == nullptr) return wake_one();
  if (timer != timers_.begin()) return;
  keeper_->woken = true;
  keeper_->wake.notify_one();
}

// Called with the mutex held. Whoever is woken looks for itself what there is to do.
void Executor::wake_one() {
  Sleeper* sleeper = keeper_;
  if (!idle_.empty()) {
    sleeper = idle_.back();
    idle_.pop_back();
  }
  if (sleeper == nullptr) return;  // all are at work, and look again before they sleep
  sleeper->woken = true;
  sleeper->wake.notify_one();
}

// One thread waits for the first timer, not all of them: they would all wake for each.
void Executor::wait_for_work(Sleeper& self, std::unique_lock<std::mutex>& lock) {
  self.woken = false;
  const auto woken = [&self] { return self.woken; };
  if (timers_.empty() || keeper_ != nullptr) {
    idle_.push_back(&self);
    self.wake.wait(lock, woken);
    return;
  }
  keeper_ = &self;
  const SteadyTime next = timers_.begin()->first;
  self.wake.wait_until(lock, next, woken);
  keeper_ = nullptr;
}

size_t Executor::waiting() const {
  std::lock_guard lock(mutex_);
  return queue_.size();
}

bool Executor::Hop::await_suspend(std::coroutine_handle<> waiter) {
  request.keep();
  std::function<void()> work = [waiter] { waiter.resume(); };
  if (!bounded) {
    executor.post(std::move(work));
    return true;
  }
  // Once the work is queued this awaiter may be gone, so `accepted` is written only on refusal.
  if (executor.try_post(work)) return true;
  accepted = false;
  return false;
}

void Executor::work(size_t index) {
  const std::string name = options_.name.substr(0, 12) + "/" + std::to_string(index);
  pthread_setname_np(pthread_self(), name.c_str());
  Sleeper self;
  std::unique_lock lock(mutex_);
  for (;;) {
    if (!timers_.empty() &&
        (stopping_ || timers_.begin()->first <= std::chrono::steady_clock::now())) {
      queue_.push_back(std::move(timers_.begin()->second));
      timers_.erase(timers_.begin());
      continue;
    }
    if (!queue_.empty()) {
      auto work = std::move(queue_.front());
      queue_.pop_front();
      // Somebody has to wait for the timers meanwhile.
      if (!timers_.empty() && keeper_ == nullptr && !idle_.empty()) wake_one();
      lock.unlock();
      RequestId::set_current({});
      work();
      work = nullptr;
      lock.lock();
      continue;
    }
    if (stopping_) return;
    wait_for_work(self, lock);
  }
}

std::optional<AsyncMutex::Lock> AsyncMutex::try_acquire() {
  std::lock_guard lock(mutex_);
  if (std::exchange(held_, true)) return std::nullopt;
  return Lock(this);
}

bool AsyncMutex::wait(std::coroutine_handle<> waiter) {
  std::lock_guard lock(mutex_);
  if (!held_) {
    held_ = true;
    return false;
  }
  waiters_.push_back(waiter);
  return true;
}

void AsyncMutex::unlock() {
  std::coroutine_handle<> next;
  {
    std::lock_guard lock(mutex_);
    if (waiters_.empty()) {
      held_ = false;
      return;
    }
    next = waiters_.front();
    waiters_.pop_front();
  }
  executor_.post([next] { next.resume(); });
}

bool AsyncBudget::wait(std::coroutine_handle<> waiter, uint64_t amount) {
  std::lock_guard lock(mutex_);
  if (waiters_.empty() && fits(amount)) {
    used_ += amount;
    return false;
  }
  waiters_.push_back({waiter, amount});
  return true;
}

bool AsyncBudget::try_acquire(uint64_t amount) {
  std::lock_guard lock(mutex_);
  if (!waiters_.empty() || !fits(amount)) return false;
  used_ += amount;
  return true;
}

void AsyncBudget::release(uint64_t amount) {
  std::vector<std::coroutine_handle<>> ready;
  {
    std::lock_guard lock(mutex_);
    ASTER_CHECK(amount <= used_);
    used_ -= amount;
    while (!waiters_.empty() && fits(waiters_.front().amount)) {
      used_ += waiters_.front().amount;
      ready.push_back(waiters_.front().handle);
      waiters_.pop_front();
    }
  }
  for (const auto handle : ready) executor_.post([handle] { handle.resume(); });
}

uint64_t AsyncBudget::in_use() const {
  std::lock_guard lock(mutex_);
  return used_;
}

}  // namespace aster
