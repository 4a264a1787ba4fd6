#include "server/storage/s3_upload.h"

#include <algorithm>
#include <cstring>

#include "protocol/base/log.h"

namespace aster::storage {
namespace {

// With a part whose upload is given up.
constexpr std::chrono::seconds kPatience{10};

}  // namespace

S3PartSet::~S3PartSet() {
  if (!completed_) sending_.tasks.spawn(discard(sending_, upload_));
}

Task<void> S3PartSet::discard(S3Sending sending, S3Client::Upload upload) {
  co_await sending.executor.hop();
  const std::string key = upload.key;
  const Result<void> gone = co_await sending.client->abort(std::move(upload));
  if (!gone.ok()) ASTER_LOG(warn, "s3_upload_left_behind", {"key", key}, {"err", gone.error()});
}

Task<Result<void>> S3PartSet::complete(std::vector<std::string> etags, uint64_t size) {
  const Result<void> outcome = co_await sending_.client->complete(upload_, std::move(etags), size);
  completed_ = outcome.ok();
  co_return outcome;
}

S3Upload::~S3Upload() {
  if (held_ == 0 && !parts_) return;
  sending_.tasks.spawn(release(sending_, std::move(under_way_), std::move(parts_), held_, cancel_));
}

/// A part that still arrives after the abort would stay for ever, and who closes its connection
/// cannot know what the service still does with it (measured): so it ends by itself first, in time.
Task<void> S3Upload::release(S3Sending sending, std::shared_ptr<Completion<PartOutcome>> under_way,
                             std::unique_ptr<S3PartSet> parts, uint64_t memory,
                             CancelToken cancel) {
  if (under_way) {
    sending.executor.post_after(kPatience, [cancel] { cancel.cancel(); });
    const PartOutcome ended = co_await *under_way;
    if (!ended.ok()) ASTER_LOG(debug, "s3_part_dropped", {"err", ended.error()});
  }
  parts.reset();
  sending.memory.release(memory);
}

bool S3Upload::is_part_ready() const {
  return filling_.filled == part_size_ || written_ == size_;
}

Task<Result<void>> S3Upload::write(ByteView piece) {
  if (piece.size() > size_ - written_) {
    co_return fail(Errc::io_error, "S3: more bytes than announced: " + key_);
  }
  if (held_ == 0 && !piece.empty()) {
    co_await sending_.memory.acquire(memory_wanted());
    held_ = memory_wanted();
  }
  while (!piece.empty()) {
    if (!filling_.memory) {
      filling_.memory = std::make_shared_for_overwrite<std::byte[]>(std::min(size_, part_size_));
    }
    const uint64_t n = std::min<uint64_t>(piece.size(), part_size_ - filling_.filled);
    std::memcpy(filling_.memory.get() + filling_.filled, piece.data(), n);
    filling_.filled += n;
    written_ += n;
    piece = piece.subspan(n);
    if (size_ > part_size_ && is_part_ready()) ASTER_CO_TRY(co_await send_part());
  }
  co_return ok();
}

Task<Result<void>> S3Upload::wait_for_part() {
  if (!under_way_) co_return ok();
  const std::shared_ptr<Completion<PartOutcome>> ending = under_way_;
  PartOutcome etag = co_await *ending;
  under_way_.reset();
  if (!etag.ok()) co_return etag.error();
  etags_.push_back(std::move(etag).value());
  co_return ok();
}

Task<Result<void>> S3Upload::send_part() {
  ASTER_CO_TRY(co_await wait_for_part());
  if (!parts_) {
    ASTER_CO_TRY(S3Client::Upload begun, co_await sending_.client->begin_upload(key_));
    parts_ = std::make_unique<S3PartSet>(sending_, std::move(begun));
  }
  const ByteView view(filling_.memory.get(), filling_.filled);
  Bytes body(filling_.memory, view);
  filling_ = {.memory = std::exchange(sent_, filling_.memory)};
  under_way_ = std::make_shared<Completion<PartOutcome>>();
  start<PartOutcome>(
      sending_.client->put_part(parts_->upload(), etags_.size() + 1, std::move(body), cancel_),
      [ending = under_way_](PartOutcome etag) { ending->set(std::move(etag)); });
  co_return ok();
}

Task<Result<void>> S3Upload::put_whole() {
  Bytes body;
  if (filling_.memory) {
    const ByteView view(filling_.memory.get(), filling_.filled);
    body = Bytes(filling_.memory, view);
  }
  Result<void> outcome = co_await sending_.client->put(key_, std::move(body));
  co_return outcome;
}

Task<Result<void>> S3Upload::commit() {
  if (written_ != size_) {
    co_return fail(Errc::io_error, "S3: fewer bytes than announced: " + key_);
  }
  if (!parts_) {
    Result<void> outcome = co_await put_whole();
    co_return outcome;
  }
  ASTER_CO_TRY(co_await wait_for_part());
  Result<void> outcome = co_await parts_->complete(etags_, size_);
  co_return outcome;
}

}  // namespace aster::storage
