#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace aster {

/// Names one request through all programs that work on it: header X-Request-ID, field `request` of
/// every log line. A thread knows the id of what it works for; a coroutine keeps its id over every
/// wait, because each awaitable that suspends (Completion, Executor, sockets) puts it back. Plain
/// memory, so that keeping it costs no more than copying it.
class RequestId {
 public:
  static constexpr size_t kLongest = 64;

  constexpr RequestId() noexcept = default;  ///< for no request
  /// Of somebody else; cut to kLongest.
  explicit RequestId(std::string_view text) noexcept {
    size_ = static_cast<uint8_t>(text.copy(text_, kLongest));
  }
  /// A fresh one: a few random digits of this process and a number. Thread-safe.
  static RequestId make() noexcept;

  bool empty() const noexcept { return size_ == 0 && number_ == 0; }
  std::string text() const;

  /// Of what this thread works for now.
  static const RequestId& current() noexcept { return current_; }
  static void set_current(const RequestId& id) noexcept { current_ = id; }

 private:
  static thread_local RequestId current_;

  uint64_t number_ = 0;  ///< made here; becomes text when somebody wants to see it
  uint8_t size_ = 0;
  char text_[kLongest] = {};
};

inline constinit thread_local RequestId RequestId::current_;

/// The thread works for `id` as long as this lives. Not over a co_await.
class RequestScope {
 public:
  explicit RequestScope(const RequestId& id) noexcept : outer_(RequestId::current()) {
    RequestId::set_current(id);
  }
  ~RequestScope() { RequestId::set_current(outer_); }
  RequestScope(const RequestScope&) = delete;
  RequestScope& operator=(const RequestScope&) = delete;

 private:
  const RequestId outer_;
};

/// Part of an awaiter: what was current when the coroutine suspended.
class KeptRequest {
 public:
  void keep() const noexcept { id_ = RequestId::current(); }
  void put_back() const noexcept { RequestId::set_current(id_); }

 private:
  mutable RequestId id_;
};

}  // namespace aster
