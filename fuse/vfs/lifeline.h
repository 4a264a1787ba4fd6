#pragma once

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace aster {

/// Lets background work use an object only while it lives: the work enters, the owner closes and
/// waits until everybody has left. Thread-safe. Share it by shared_ptr with work that may come
/// after the owner is gone (timers).
class Lifeline : public std::enable_shared_from_this<Lifeline> {
 public:
  class Guard {
   public:
    explicit Guard(std::shared_ptr<Lifeline> line) : line_(std::move(line)) {}
    Guard(Guard&& other) noexcept = default;
    Guard& operator=(Guard&& other) = delete;
    ~Guard() {
      if (line_) line_->leave();
    }

   private:
    std::shared_ptr<Lifeline> line_;
  };

  /// nullopt once closed.
  std::optional<Guard> enter() {
    std::lock_guard lock(mutex_);
    if (closed_) return std::nullopt;
    ++inside_;
    return Guard(shared_from_this());
  }
  /// Refuses who comes from now on, waits for who is inside.
  void close() {
    std::unique_lock lock(mutex_);
    closed_ = true;
    empty_.wait(lock, [this] { return inside_ == 0; });
  }

 private:
  void leave() {
    std::lock_guard lock(mutex_);
    if (--inside_ == 0) empty_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable empty_;
  bool closed_ = false;
  size_t inside_ = 0;
};

}  // namespace aster
