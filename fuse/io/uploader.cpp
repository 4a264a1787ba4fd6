#include "fuse/io/uploader.h"

#include <algorithm>
#include <cstring>

#include "fuse/io/loaded_body.h"
#include "protocol/base/fault_point.h"
#include "protocol/base/log.h"
#include "protocol/capabilities.h"
#include "protocol/checksum.h"
#include "protocol/envelope.h"

namespace aster {
namespace {

// On slow links an object may take the timeout once more for each of these many bytes.
constexpr uint64_t kBytesPerTimeout = 4 << 20;

// Failures of a PUT that a new attempt, with a new URL, may not meet again.
bool may_pass(Errc code) {
  switch (code) {
    case Errc::unavailable:
    case Errc::timeout:
    case Errc::rate_limited:
    case Errc::locked:
    case Errc::conflict:
    case Errc::out_of_resources:
    case Errc::io_error:
    case Errc::internal:
    case Errc::token_invalid:
    case Errc::credentials_failed:
    case Errc::forbidden:
    case Errc::precondition_failed: return true;
    default: return false;
  }
}

// What a writer is told. The words of a follower about its objects ("not found", "precondition")
// mean nothing to somebody who writes a file: close(2) must not say that the file does not exist.
Error seen_by_writer(Error error) {
  switch (error.code) {
    case Errc::no_space:
    case Errc::quota_exceeded:
    case Errc::too_large:
    case Errc::timeout:
    case Errc::interrupted:
    case Errc::unavailable:
    case Errc::out_of_resources: return error;
    default: error.code = Errc::io_error; return error;
  }
}

// Walks over pieces that are laid end to end.
class PieceCursor {
 public:
  explicit PieceCursor(const std::vector<Bytes>& pieces) : pieces_(pieces) {}

  /// The next `length` bytes: a slice when one piece has them all, else a copy.
  Bytes take(size_t length, BlockPool& pool) {
    skip_empty();
    if (pieces_[piece_].size() - used_ >= length) {
      const Bytes slice = pieces_[piece_].slice(used_, length);
      used_ += length;
      return slice;
    }
    Block block = pool.take();
    for (size_t filled = 0; filled < length;) {
      skip_empty();
      const size_t n = std::min(length - filled, pieces_[piece_].size() - used_);
      std::memcpy(block.data() + filled, pieces_[piece_].data() + used_, n);
      filled += n;
      used_ += n;
    }
    return std::move(block).freeze(length);
  }

 private:
  void skip_empty() {
    while (pieces_[piece_].size() == used_) {
      ++piece_;
      used_ = 0;
    }
  }

  const std::vector<Bytes>& pieces_;
  size_t piece_ = 0;
  size_t used_ = 0;
};

void offer_to_cache(IoContext& context, const std::vector<Bytes>& pieces,
                    const fs::ObjectAccess& object) {
  PieceCursor cursor(pieces);
  for (uint32_t index = 0; index < object.crc32c.size(); ++index) {
    const size_t length = std::min<uint64_t>(kBlockSize, object.size - index * kBlockSize);
    context.cache.put({object.id, index}, object.crc32c[index], cursor.take(length, context.pool));
  }
}

std::vector<uint32_t> block_checksums(const std::vector<Bytes>& pieces) {
  BlockChecksums checksums;
  for (const Bytes& piece : pieces) checksums.update(piece.view());
  return checksums.finish();
}

}  // namespace

SteadyTime Uploader::deadline_since(SteadyTime asked) const {
  return std::max(asked, context_->last_upload.load()) + context_->options.timeout;
}

Task<Uploader::Outcome> Uploader::upload(UploadObjectPtr object, GrantHint hint, SteadyTime asked) {
  co_await context_->upload_slots.acquire(1);
  const BudgetShare slot(context_->upload_slots, 1);
  co_await context_->upload_memory.acquire(object->size);
  const BudgetShare memory(context_->upload_memory, object->size);
  const SteadyTime deadline = deadline_since(asked);
  if (context_->clock.steady() >= deadline) co_return fail(Errc::timeout, "upload: no progress");
  if (object->size > kBlockSize) co_await context_->executor.hop();
  const Result<std::shared_ptr<const LoadedBody>> body =
      co_await LoadedBody::load(context_, object);
  if (!body.ok()) co_return seen_by_writer(body.error());
  const std::vector<Bytes>& pieces = (*body)->pieces();
  std::vector<uint32_t> checksums = block_checksums(pieces);
  const uint32_t crc = crc32c_of_blocks(checksums, object->size);
  Backoff backoff;
  for (;;) {
    ASTER_CO_TRY(fs::UploadGrant grant, co_await grants_.take(object->size, hint, deadline));
    const ObjectId id = grant.object;
    const Result<void> sent = co_await put(pieces, std::move(grant), crc, deadline);
    if (sent.ok()) {
      context_->last_upload = context_->clock.steady();
      auto access = std::make_shared<fs::ObjectAccess>();
      access->id = id;
      access->size = object->size;
      access->crc32c = std::move(checksums);
      offer_to_cache(*context_, pieces, *access);
      object->body.clear();
      context_->bytes_uploaded += object->size;
      co_return access;
    }
    ++context_->failed_uploads;
    if (!may_pass(sent.error().code)) co_return seen_by_writer(sent.error());
    ASTER_LOG(debug, "upload_failed", {"object", id.hex()}, {"err", sent.error()});
    const Duration pause = backoff.next();
    if (context_->clock.steady() + pause >= deadline) co_return seen_by_writer(sent.error());
    const bool go_on = co_await context_->pause(pause);
    if (!go_on) co_return fail(Errc::interrupted, "the mount is ending");
  }
}

Task<Result<void>> Uploader::put(std::vector<Bytes> pieces, fs::UploadGrant grant, uint32_t crc,
                                 SteadyTime deadline) {
  HttpClientRequest request;
  // Checked by our followers and passed on by a relay; others skip a header that they do not know.
  request.headers.emplace_back(kCrc32cHeader, crc32c_hex(crc));
  request.method = "PUT";
  request.url = context_->primary.absolute(grant.url);
  uint64_t size = 0;
  for (const Bytes& piece : pieces) size += piece.size();
  request.body = std::move(pieces);
  request.max_body = 64 << 10;
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - context_->clock.steady());
  if (left.count() <= 0) co_return fail(Errc::timeout, "upload");
  const int64_t more = static_cast<int64_t>(size / kBytesPerTimeout);
  request.total_timeout = left + context_->options.timeout * more;
  request.stall_timeout =
      std::max(std::chrono::seconds(1), std::chrono::ceil<std::chrono::seconds>(left));
  ASTER_FAULT_POINT("upload.before_put");
  ASTER_CO_TRY(const HttpClientResponse response, co_await context_->exchange(std::move(request)));
  ASTER_FAULT_POINT("upload.after_put");
  if (response.status >= 200 && response.status <= 299) co_return ok();
  co_return error_of_answer(response.status, as_text(response.body.view()), "uploading an object");
}

}  // namespace aster
