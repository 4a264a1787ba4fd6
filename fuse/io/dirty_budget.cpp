#include "fuse/io/dirty_budget.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace aster {

bool DirtyBudget::try_acquire(uint64_t amount) {
  std::lock_guard lock(mutex_);
  if (stopped_ || !waiters_.empty() || !fits(amount)) return false;
  used_ += amount;
  return true;
}

Task<Result<void>> DirtyBudget::acquire(uint64_t amount) {
  auto waiter = std::make_shared<Waiter>();
  {
    std::lock_guard lock(mutex_);
    if (stopped_) co_return fail(Errc::interrupted, "write: the mount is ending");
    if (waiters_.empty() && fits(amount)) {
      used_ += amount;
      co_return ok();
    }
    waiter->amount = amount;
    waiter->releases_seen = releases_;
    waiter->failures_seen = failures_;
    waiters_.push_back(waiter);
  }
  watch(waiter);
  if (pressure_) pressure_();
  const Completion<Result<void>> done = waiter->done;
  co_return co_await done;
}

void DirtyBudget::release(uint64_t amount) {
  std::vector<std::shared_ptr<Waiter>> ready;
  {
    std::lock_guard lock(mutex_);
    ASTER_CHECK(amount <= used_);
    used_ -= amount;
    ++releases_;
    ready = take_ready();
  }
  for (auto& waiter : ready) wake(std::move(waiter), ok());
}

// No progress for those who wait: an upload that fails takes it back, again and again.
void DirtyBudget::lend(uint64_t amount) {
  std::vector<std::shared_ptr<Waiter>> ready;
  {
    std::lock_guard lock(mutex_);
    ASTER_CHECK(amount <= used_);
    used_ -= amount;
    lent_ += amount;
    ready = take_ready();
  }
  for (auto& waiter : ready) wake(std::move(waiter), ok());
}

void DirtyBudget::note_failure(const Error& error) {
  std::lock_guard lock(mutex_);
  ++failures_;
  last_error_ = error;
  refused_ = error.code == Errc::no_space || error.code == Errc::quota_exceeded ||
             error.code == Errc::too_large;
}

void DirtyBudget::note_success() {
  std::lock_guard lock(mutex_);
  refused_ = false;
}

bool DirtyBudget::refused() const {
  std::lock_guard lock(mutex_);
  return refused_;
}

void DirtyBudget::take_back(uint64_t amount) {
  std::lock_guard lock(mutex_);
  lent_ -= amount;
  used_ += amount;
}

uint64_t DirtyBudget::room() const {
  std::lock_guard lock(mutex_);
  return limit();
}

uint64_t DirtyBudget::lent() const {
  std::lock_guard lock(mutex_);
  return lent_;
}

uint64_t DirtyBudget::list(std::weak_ptr<DirtyChunk> chunk) {
  auto listed = listed_.lock();
  listed->chunks.emplace(listed->next, std::move(chunk));
  return listed->next++;
}

void DirtyBudget::unlist(uint64_t number) {
  listed_.lock()->chunks.erase(number);
}

std::vector<std::pair<uint64_t, std::shared_ptr<DirtyChunk>>> DirtyBudget::listed(
    uint64_t from, size_t at_most) const {
  std::vector<std::pair<uint64_t, std::shared_ptr<DirtyChunk>>> found;
  auto listed = listed_.lock();
  for (auto it = listed->chunks.lower_bound(from);
       it != listed->chunks.end() && found.size() < at_most; ++it) {
    if (auto chunk = it->second.lock()) found.emplace_back(it->first, std::move(chunk));
  }
  return found;
}

bool DirtyBudget::has_waiters() const {
  std::lock_guard lock(mutex_);
  return !waiters_.empty();
}

uint64_t DirtyBudget::in_use() const {
  std::lock_guard lock(mutex_);
  return used_;
}

void DirtyBudget::stop() {
  std::deque<std::shared_ptr<Waiter>> all;
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    all.swap(waiters_);
  }
  for (auto& waiter : all) {
    wake(std::move(waiter), fail(Errc::interrupted, "write: the mount is ending"));
  }
}

void DirtyBudget::watch(std::shared_ptr<Waiter> waiter) {
  executor_.post_after(timeout_, [self = weak_from_this(), waiter = std::weak_ptr(waiter)] {
    const auto budget = self.lock();
    const auto still_waiting = waiter.lock();
    if (budget && still_waiting) budget->check(still_waiting);
  });
}

// A deadline came: the wait goes on unless uploads failed and nothing was released meanwhile.
void DirtyBudget::check(const std::shared_ptr<Waiter>& waiter) {
  std::optional<Error> why;
  std::vector<std::shared_ptr<Waiter>> ready;
  {
    std::lock_guard lock(mutex_);
    const auto it = std::find(waiters_.begin(), waiters_.end(), waiter);
    if (it == waiters_.end()) return;
    if (releases_ == waiter->releases_seen && failures_ != waiter->failures_seen) {
      why = last_error_;
      waiters_.erase(it);
      ready = take_ready();
    }
    waiter->releases_seen = releases_;
  }
  if (why) {
    wake(waiter, *why);
  } else {
    watch(waiter);
  }
  for (auto& next : ready) wake(std::move(next), ok());
}

// Called with the mutex held.
std::vector<std::shared_ptr<DirtyBudget::Waiter>> DirtyBudget::take_ready() {
  std::vector<std::shared_ptr<Waiter>> ready;
  while (!waiters_.empty() && fits(waiters_.front()->amount)) {
    used_ += waiters_.front()->amount;
    ready.push_back(std::move(waiters_.front()));
    waiters_.pop_front();
  }
  return ready;
}

// On the executor: release() may be called under somebody's lock.
void DirtyBudget::wake(std::shared_ptr<Waiter> waiter, Result<void> outcome) {
  executor_.post(
      [waiter = std::move(waiter), outcome = std::move(outcome)] { waiter->done.set(outcome); });
}

}  // namespace aster
