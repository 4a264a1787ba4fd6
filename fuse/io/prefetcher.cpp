#include "fuse/io/prefetcher.h"

#include <algorithm>

namespace aster {
namespace {

// Reads that the kernel sends in parallel arrive out of order by about its own read-ahead.
constexpr uint64_t kDisorder = 1 << 20;
// Smallest GET of the read-ahead.
constexpr uint64_t kSmallestPiece = 512 << 10;
// A handle that did not read for so long gives its share up when others want it.
constexpr Duration kIdle = std::chrono::seconds(1);

// At most once in kIdle: takes the budget back from idle handles.
bool reclaim(IoContext& context) {
  const SteadyTime now = context.clock.steady();
  const int64_t now_ns = now.time_since_epoch().count();
  int64_t last = context.last_reclaim_ns.load();
  if (now_ns - last < std::chrono::nanoseconds(kIdle).count()) return false;
  if (!context.last_reclaim_ns.compare_exchange_strong(last, now_ns)) return false;
  std::vector<std::shared_ptr<ReadAhead>> all;
  {
    auto known = context.read_aheads.lock();
    std::erase_if(*known, [&](const std::weak_ptr<ReadAhead>& entry) {
      auto ahead = entry.lock();
      if (!ahead) return true;
      all.push_back(std::move(ahead));
      return false;
    });
  }
  for (const auto& ahead : all) ahead->drop_idle(now - kIdle);
  return true;
}

}  // namespace

bool ReadAhead::continues(const FileRange& read) const {
  if (reads_ == 0) return false;
  if (window_ == 0) return read.offset == next_;
  return read.offset <= next_ + kDisorder && read.end() + kDisorder >= next_;
}

void ReadAhead::restart(const FileRange& read, std::deque<Held>& dropped) {
  next_ = read.end();
  window_ = 0;
  ahead_ = 0;
  reads_ = 1;
  held_.swap(dropped);
}

std::optional<ReadAhead::Advice> ReadAhead::note(FileRange read, uint64_t file_size) {
  std::deque<Held> dropped;  // destroyed after the lock: budgets and blocks go back
  std::lock_guard lock(mutex_);
  used_ = context_->clock.steady();
  if (!continues(read)) {
    restart(read, dropped);
    return std::nullopt;
  }
  ++reads_;
  next_ = std::max(next_, read.end());
  if (window_ == 0) {
    window_ = kFirstWindow;
    grown_at_ = next_;
  } else if (window_ < kLargestWindow && next_ >= grown_at_ + window_ / 4) {
    window_ *= 2;
    grown_at_ = next_;
  }
  drop_passed(dropped);
  ahead_ = std::max(ahead_, next_);
  const uint64_t piece = std::clamp(window_ / 2, kSmallestPiece, kTransferSize);
  uint64_t end = std::min(next_ + window_, file_size);
  if (end >= ahead_ + piece && end < file_size) {
    end -= end % kSmallestPiece;  // GETs that start and end at round offsets
    if (piece == kTransferSize && end - end % piece > ahead_) end -= end % piece;
  } else if (end < file_size || end <= ahead_) {
    return std::nullopt;
  }
  const Advice advice{{ahead_, end - ahead_}, piece};
  ahead_ = end;
  return advice;
}

void ReadAhead::stopped_at(uint64_t offset) {
  std::lock_guard lock(mutex_);
  ahead_ = std::min(ahead_, offset);
}

std::shared_ptr<const void> ReadAhead::take_budget(uint64_t bytes) {
  if (!context_->prefetch_budget.try_acquire(bytes)) {
    const bool retry = reclaim(*context_);
    if (!retry || !context_->prefetch_budget.try_acquire(bytes)) return nullptr;
  }
  struct Share {
    std::shared_ptr<IoContext> context;
    uint64_t bytes;
    Share(std::shared_ptr<IoContext> c, uint64_t n) : context(std::move(c)), bytes(n) {}
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;
    ~Share() { context->prefetch_budget.release(bytes); }
  };
  return std::make_shared<Share>(context_, bytes);
}

void ReadAhead::hold(FileRange range, BlockFetchPtr fetch, std::shared_ptr<const void> budget) {
  std::lock_guard lock(mutex_);
  held_.push_back({range, std::move(fetch), std::move(budget)});
}

BlockFetchPtr ReadAhead::find(const BlockKey& key) const {
  std::lock_guard lock(mutex_);
  for (const Held& held : held_) {
    if (!held.fetch->holds(key)) continue;
    const auto outcome = held.fetch->peek(key.index);
    if (!outcome || outcome->ok()) return held.fetch;
  }
  return nullptr;
}

void ReadAhead::drop_idle(SteadyTime before) {
  std::deque<Held> dropped;
  std::lock_guard lock(mutex_);
  if (used_ >= before) return;
  held_.swap(dropped);
}

// What lies behind the reader by more than reads may be out of order is not needed any more.
void ReadAhead::drop_passed(std::deque<Held>& dropped) {
  while (!held_.empty() && held_.front().range.end() + kDisorder <= next_) {
    dropped.push_back(std::move(held_.front()));
    held_.pop_front();
  }
}

}  // namespace aster
