#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "protocol/base/executor.h"
#include "protocol/base/guarded.h"
#include "protocol/base/task.h"

namespace aster {

class DirtyChunk;

/// The bytes of unsent writes that a mount may hold in memory. Writers wait here, first come first
/// served, until uploads or the disk made room. Thread-safe; shared by everything that holds a part
/// of it.
///
/// Unlike AsyncBudget a wait ends: with the error of the uploads when they fail and nothing was
/// released for the length of the deadline. While uploads make progress, a writer waits on.
class DirtyBudget : public std::enable_shared_from_this<DirtyBudget> {
 public:
  DirtyBudget(Executor& executor, uint64_t total, Duration timeout)
      : executor_(executor), total_(total), timeout_(timeout) {}

  /// Takes `amount` when it fits now and nobody waits. More than the whole budget fits when nothing
  /// else is out.
  bool try_acquire(uint64_t amount);
  /// Waits for `amount`. unavailable, no_space ... (why uploads fail), interrupted after stop().
  Task<Result<void>> acquire(uint64_t amount);
  void release(uint64_t amount);
  /// `amount` of what was acquired is accounted elsewhere until take_back(), which waits for
  /// nothing, also when that is more than the total.
  void lend(uint64_t amount);
  void take_back(uint64_t amount);
  /// Called on the writer's thread whenever one starts to wait. To be set before the first use.
  void set_pressure(std::function<void()> pressure) { pressure_ = std::move(pressure); }

  /// An upload failed for good; its bytes stay out.
  void note_failure(const Error& error);
  /// One succeeded.
  void note_success();
  /// Uploads fail, and not because nobody is there: the servers do not want the data.
  bool refused() const;
  bool has_waiters() const;
  uint64_t in_use() const;
  /// Of what was acquired, what is lent.
  uint64_t lent() const;
  /// What may be in use now: the total without what is lent, a quarter of it at least, so that who
  /// waits always has some that can be made free.
  uint64_t room() const;

  /// What holds a part of the budget, so that it can be spilled. The number to unlist it by.
  uint64_t list(std::weak_ptr<DirtyChunk> chunk);
  void unlist(uint64_t number);
  /// The chunks that were listed first, as many as `at_most`, from number `from` on.
  std::vector<std::pair<uint64_t, std::shared_ptr<DirtyChunk>>> listed(uint64_t from,
                                                                       size_t at_most) const;
  /// Every wait ends with interrupted, now and later.
  void stop();

 private:
  struct Waiter {
    uint64_t amount;
    uint64_t releases_seen;
    uint64_t failures_seen;
    Completion<Result<void>> done;
  };
  uint64_t limit() const { return std::max(total_ / 4, total_ - std::min(total_, lent_)); }
  bool fits(uint64_t amount) const { return used_ == 0 || used_ + amount <= limit(); }
  void watch(std::shared_ptr<Waiter> waiter);
  void check(const std::shared_ptr<Waiter>& waiter);
  std::vector<std::shared_ptr<Waiter>> take_ready();
  void wake(std::shared_ptr<Waiter> waiter, Result<void> outcome);

  Executor& executor_;
  const uint64_t total_;
  const Duration timeout_;
  std::function<void()> pressure_;
  mutable std::mutex mutex_;
  uint64_t used_ = 0;
  uint64_t lent_ = 0;
  uint64_t releases_ = 0;
  uint64_t failures_ = 0;
  std::optional<Error> last_error_;
  bool stopped_ = false;
  std::deque<std::shared_ptr<Waiter>> waiters_;
  bool refused_ = false;

  struct Listed {
    uint64_t next = 1;
    std::map<uint64_t, std::weak_ptr<DirtyChunk>> chunks;
  };
  mutable Guarded<Listed> listed_;
};

}  // namespace aster
