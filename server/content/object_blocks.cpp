#include "server/content/object_blocks.h"

#include <unistd.h>

#include <algorithm>

#include "protocol/base/log.h"
#include "protocol/checksum.h"

namespace aster::content {
namespace {

uint64_t length_of_block(const fs::ObjectAccess& object, uint64_t index) {
  return std::min<uint64_t>(kBlockSize, object.size - index * kBlockSize);
}

bool is_right(const fs::ObjectAccess& object, uint64_t index, ByteView bytes) {
  return crc32c(bytes) == object.crc32c[index - object.first_block];
}

}  // namespace

Task<Result<ByteView>> ObjectBlocks::block(const fs::ObjectAccess& object, uint64_t index,
                                           uint64_t end) {
  if (index < object.first_block || index - object.first_block >= object.crc32c.size()) {
    co_return fail(Errc::internal, "a manifest without the checksum of a block");
  }
  const size_t length = length_of_block(object, index);
  for (int attempt = 0; attempt < 2; ++attempt) {
    const bool goes_on = object_ == object.id && next_ == index && index < end_;
    if (!goes_on) ASTER_CO_TRY(co_await open(object, index, end));
    const Result<void> filled = co_await fill(length);
    if (!filled.ok()) {
      object_.reset();
      co_return filled.error();
    }
    ++next_;
    if (is_right(object, index, bytes_)) co_return ByteView(bytes_);
    object_.reset();
    ASTER_LOG(error, "block_corrupt", {"object", object.id.hex()}, {"block", index},
              {"attempt", attempt});
  }
  co_return fail(Errc::corrupt, "object " + object.id.hex() + " does not match its checksums");
}

Task<Result<void>> ObjectBlocks::open(const fs::ObjectAccess& object, uint64_t index,
                                      uint64_t end) {
  object_.reset();
  file_.reset();
  stream_.reset();
  const uint64_t first = index * kBlockSize;
  const uint64_t last = std::min(std::max(end, index + 1) * kBlockSize, object.size) - 1;
  ASTER_CO_TRY(const auto driver, co_await places_.driver(object.id));
  primary::WantedRange wanted;
  wanted.header = "bytes=" + std::to_string(first) + "-" + std::to_string(last);
  ApiResult<primary::ObjectBody> opened = co_await driver->open(object.id, std::move(wanted));
  if (!opened.ok()) co_return opened.error().to_error();
  primary::ObjectBody body = std::move(opened).value();
  if (body.range.offset != first || body.range.last() != last) {
    co_return fail(Errc::corrupt, "object " + object.id.hex() + " has another size");
  }
  if (auto* file = std::get_if<http::FileBody>(&body.bytes)) {
    file_ = std::move(*file);
  } else {
    stream_ = std::get<1>(std::move(body.bytes));
  }
  object_ = object.id;
  next_ = index;
  end_ = std::max(end, index + 1);
  co_return ok();
}

Task<Result<void>> ObjectBlocks::fill(size_t wanted) {
  bytes_.resize(wanted);
  for (size_t got = 0; got < wanted;) {
    ASTER_CO_TRY(const size_t n, co_await read_some(std::span(bytes_).subspan(got)));
    if (n == 0) co_return fail(Errc::unavailable, "the object ended early");
    got += n;
  }
  co_return ok();
}

Task<Result<size_t>> ObjectBlocks::read_some(std::span<std::byte> buffer) {
  if (stream_) co_return co_await stream_->read(buffer);
  const size_t most = std::min<uint64_t>(buffer.size(), file_->length);
  const auto read = [&]() -> Result<size_t> {
    const ssize_t n =
        ::pread(file_->fd.get(), buffer.data(), most, static_cast<off_t>(file_->offset));
    if (n < 0) return fail_errno("read an object");
    return static_cast<size_t>(n);
  };
  ASTER_CO_TRY(const size_t n, co_await disk_.run(read));
  file_->offset += n;
  file_->length -= n;
  co_return n;
}

}  // namespace aster::content
