#include "server/storage/s3_reader.h"

#include "protocol/client/retry_policy.h"
#include "server/storage/body_pipe.h"

namespace aster::storage {
namespace {

constexpr RetryPolicy kBackOff{.first = std::chrono::milliseconds(100), .most_attempts = 4};

class CountingSink final : public ByteSink {
 public:
  explicit CountingSink(std::shared_ptr<ByteSink> sink) : sink_(std::move(sink)) {}
  Task<Result<void>> write(ByteView piece) override {
    Result<void> written = co_await sink_->write(piece);
    if (written.ok()) count_ += piece.size();
    co_return written;
  }
  uint64_t count() const { return count_; }

 private:
  const std::shared_ptr<ByteSink> sink_;
  uint64_t count_ = 0;
};

bool is_passing(const Result<void>& outcome) {
  return outcome.failed_with(Errc::unavailable) || outcome.failed_with(Errc::timeout) ||
         outcome.failed_with(Errc::rate_limited);
}

class S3Reader final : public ByteSource {
 public:
  S3Reader(std::shared_ptr<S3Client> client, Executor& executor, TaskGroup& tasks,
           S3Client::Piece piece)
      : client_(std::move(client)),
        executor_(executor),
        tasks_(tasks),
        piece_(std::move(piece)),
        pipe_(std::make_shared<BodyPipe>(executor)) {}
  ~S3Reader() override { abandon(); }

  Task<Result<size_t>> read(std::span<std::byte> buffer) override {
    if (piece_.length == 0) co_return size_t{0};
    if (!std::exchange(begun_, true)) {
      tasks_.spawn(fill(client_, executor_, piece_, pipe_, cancel_));
    }
    Result<size_t> got = co_await pipe_->read(buffer);
    co_return got;
  }

  void abandon() noexcept override {
    pipe_->abandon();
    cancel_.cancel();
  }

 private:
  static Task<void> fill(std::shared_ptr<S3Client> client, Executor& executor,
                         S3Client::Piece piece, std::shared_ptr<BodyPipe> pipe,
                         CancelToken cancel) {
    co_await executor.hop();
    const auto sink = std::make_shared<PipeSink>(pipe);
    Result<void> outcome = co_await fetch_s3_object(client, executor, piece, sink, cancel);
    pipe->finish(std::move(outcome));
  }

  const std::shared_ptr<S3Client> client_;
  Executor& executor_;
  TaskGroup& tasks_;
  const S3Client::Piece piece_;
  const std::shared_ptr<BodyPipe> pipe_;
  const CancelToken cancel_;
  bool begun_ = false;
};

}  // namespace

Task<Result<void>> fetch_s3_object(std::shared_ptr<S3Client> client, Executor& executor,
                                   S3Client::Piece piece, std::shared_ptr<ByteSink> sink,
                                   CancelToken cancel) {
  unsigned failures = 0;
  while (piece.length > 0) {
    const auto counted = std::make_shared<CountingSink>(sink);
    const Result<void> outcome = co_await client->get(piece, counted, cancel);
    piece.offset += counted->count();
    piece.length -= counted->count();
    if (piece.length == 0) break;
    if (outcome.ok()) co_return fail(Errc::io_error, "S3: a range came short: " + piece.key);
    if (counted->count() > 0) failures = 0;
    if (!is_passing(outcome) || cancel.cancelled() || ++failures >= kBackOff.most_attempts) {
      co_return outcome;
    }
    co_await executor.sleep(kBackOff.delay(failures, 1.0));
  }
  co_return ok();
}

std::shared_ptr<ByteSource> read_s3_object(std::shared_ptr<S3Client> client, Executor& executor,
                                           TaskGroup& tasks, S3Client::Piece piece) {
  return std::make_shared<S3Reader>(std::move(client), executor, tasks, std::move(piece));
}

}  // namespace aster::storage
