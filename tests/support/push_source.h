#pragma once

#include <cstring>
#include <future>
#include <optional>
#include <string>
#include <utility>

#include "protocol/base/guarded.h"
#include "server/http/http.h"

namespace aster::testing {

/// An event stream that gives what push() was given; read() waits for more.
class PushSource final : public ByteSource {
 public:
  ~PushSource() override { gone_.set_value(); }
  Task<Result<size_t>> read(std::span<std::byte> buffer) override {
    Completion<std::string> next;
    {
      auto state = state_.lock();
      if (state->abandoned) co_return size_t{0};
      if (state->ready.empty()) {
        state->waiter = next;
      } else {
        next.set(std::exchange(state->ready, {}));
      }
    }
    const std::string text = co_await next;
    std::memcpy(buffer.data(), text.data(), text.size());
    co_return text.size();
  }
  void abandon() noexcept override {
    std::optional<Completion<std::string>> waiter;
    {
      auto state = state_.lock();
      state->abandoned = true;
      waiter = std::exchange(state->waiter, std::nullopt);
    }
    if (waiter) waiter->set("");
  }
  void push(std::string text) {
    std::optional<Completion<std::string>> waiter;
    {
      auto state = state_.lock();
      waiter = std::exchange(state->waiter, std::nullopt);
      if (!waiter) state->ready += text;
    }
    if (waiter) waiter->set(std::move(text));
  }
  /// Ready once the object has been destroyed.
  std::future<void> gone() { return gone_.get_future(); }

 private:
  struct State {
    bool abandoned = false;
    std::string ready;
    std::optional<Completion<std::string>> waiter;
  };
  Guarded<State> state_;
  std::promise<void> gone_;
};

}  // namespace aster::testing
