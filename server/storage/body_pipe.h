#pragma once

#include <coroutine>
#include <memory>
#include <mutex>
#include <optional>

#include "protocol/base/executor.h"
#include "protocol/client/http_client.h"

namespace aster::storage {

/// Joins a body that is pushed (an answer from another server) to one that is pulled (our answer to
/// a client) without keeping more than the piece under way: write() waits until its piece was read.
/// One writer, one reader; thread-safe between the two. Whoever waits goes on on the executor.
class BodyPipe {
 public:
  explicit BodyPipe(Executor& executor) : executor_(executor) {}

  /// interrupted when the reader has gone.
  Task<Result<void>> write(ByteView piece);
  /// The body is complete, or failed: what read() then answers.
  void finish(Result<void> outcome);

  Task<Result<size_t>> read(std::span<std::byte> buffer);
  /// The reader has gone: write() fails from now on.
  void abandon();

 private:
  struct Readable {
    BodyPipe& pipe;
    KeptRequest request = {};
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> waiter);
    void await_resume() const noexcept { request.put_back(); }
  };
  struct Drained {
    BodyPipe& pipe;
    KeptRequest request = {};
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> waiter);
    void await_resume() const noexcept { request.put_back(); }
  };
  void wake(std::coroutine_handle<> waiter);

  Executor& executor_;
  std::mutex mutex_;
  ByteView pending_;  // of the waiting writer
  std::optional<Result<void>> outcome_;
  bool abandoned_ = false;
  std::coroutine_handle<> reader_ = nullptr;
  std::coroutine_handle<> writer_ = nullptr;
};

/// The writer's end as a sink.
class PipeSink final : public ByteSink {
 public:
  explicit PipeSink(std::shared_ptr<BodyPipe> pipe) : pipe_(std::move(pipe)) {}
  Task<Result<void>> write(ByteView piece) override { return pipe_->write(piece); }

 private:
  const std::shared_ptr<BodyPipe> pipe_;
};

/// The reader's end. When it goes, the writer's next piece is refused, which ends its exchange.
class PipeSource final : public ByteSource {
 public:
  explicit PipeSource(std::shared_ptr<BodyPipe> pipe) : pipe_(std::move(pipe)) {}
  ~PipeSource() override { pipe_->abandon(); }
  Task<Result<size_t>> read(std::span<std::byte> buffer) override { return pipe_->read(buffer); }

 private:
  const std::shared_ptr<BodyPipe> pipe_;
};

}  // namespace aster::storage
