#include "server/storage/body_pipe.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace aster::storage {

bool BodyPipe::Readable::await_suspend(std::coroutine_handle<> waiter) {
  request.keep();
  std::lock_guard lock(pipe.mutex_);
  if (!pipe.pending_.empty() || pipe.outcome_ || pipe.abandoned_) return false;
  pipe.reader_ = waiter;
  return true;
}

bool BodyPipe::Drained::await_suspend(std::coroutine_handle<> waiter) {
  request.keep();
  std::lock_guard lock(pipe.mutex_);
  if (pipe.pending_.empty() || pipe.abandoned_) return false;
  pipe.writer_ = waiter;
  return true;
}

void BodyPipe::wake(std::coroutine_handle<> waiter) {
  if (waiter) executor_.post([waiter] { waiter.resume(); });
}

Task<Result<void>> BodyPipe::write(ByteView piece) {
  std::coroutine_handle<> reader;
  {
    std::lock_guard lock(mutex_);
    if (!abandoned_) pending_ = piece;
    reader = std::exchange(reader_, nullptr);
  }
  wake(reader);
  co_await Drained{*this};
  std::lock_guard lock(mutex_);
  pending_ = {};
  if (abandoned_) co_return fail(Errc::interrupted, "the reader has gone");
  co_return ok();
}

void BodyPipe::finish(Result<void> outcome) {
  std::coroutine_handle<> reader;
  {
    std::lock_guard lock(mutex_);
    outcome_ = std::move(outcome);
    reader = std::exchange(reader_, nullptr);
  }
  wake(reader);
}

Task<Result<size_t>> BodyPipe::read(std::span<std::byte> buffer) {
  co_await Readable{*this};
  size_t taken = 0;
  std::coroutine_handle<> writer;
  {
    std::lock_guard lock(mutex_);
    if (pending_.empty()) {
      if (outcome_ && !outcome_->ok()) co_return outcome_->error();
      co_return size_t{0};
    }
    taken = std::min(buffer.size(), pending_.size());
    std::memcpy(buffer.data(), pending_.data(), taken);
    pending_ = pending_.subspan(taken);
    if (pending_.empty()) writer = std::exchange(writer_, nullptr);
  }
  wake(writer);
  co_return taken;
}

void BodyPipe::abandon() {
  std::coroutine_handle<> reader;
  std::coroutine_handle<> writer;
  {
    std::lock_guard lock(mutex_);
    abandoned_ = true;
    pending_ = {};
    reader = std::exchange(reader_, nullptr);
    writer = std::exchange(writer_, nullptr);
  }
  wake(reader);
  wake(writer);
}

}  // namespace aster::storage
