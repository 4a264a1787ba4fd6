#include "fuse/io/block_sink.h"

#include <algorithm>
#include <cstring>

#include "fuse/io/block_fetch.h"
#include "protocol/checksum.h"

namespace aster {
namespace {

// Blocks under half the size get memory of their own: the pool's are of full size, and a cache of
// many small objects would hold mostly nothing.
constexpr size_t kPooledFrom = kBlockSize / 2;

}  // namespace

BlockSink::BlockSink(BlockPool& pool, std::atomic<uint64_t>& received,
                     std::shared_ptr<const fs::ObjectAccess> object, uint32_t first, uint32_t count,
                     OnBlock on_block)
    : pool_(pool),
      received_in_all_(received),
      object_(std::move(object)),
      on_block_(std::move(on_block)),
      begin_(first * kBlockSize),
      end_(std::min<uint64_t>((first + uint64_t{count}) * kBlockSize, object_->size)),
      index_(first),
      end_index_(first + count) {}

std::string BlockSink::range_header() const {
  return "bytes=" + std::to_string(begin_) + "-" + std::to_string(end_ - 1);
}

Result<void> BlockSink::begin(int status, const HeaderList& headers) {
  if (status == 200 && begin_ == 0 && end_ == object_->size) return ok();
  const std::string wanted = "bytes " + std::to_string(begin_) + "-" + std::to_string(end_ - 1) +
                             "/" + std::to_string(object_->size);
  const std::string* range = find_header(headers, "Content-Range");
  if (status == 206 && range != nullptr && *range == wanted) return ok();
  return fail(Errc::io_error, "the answer is not the range that was asked for");
}

Result<void> BlockSink::receive(ByteView piece) {
  received_ += piece.size();
  received_in_all_ += piece.size();
  if (received_ > end_ - begin_) return fail(Errc::io_error, "the body is longer than asked");
  while (!piece.empty()) {
    if (memory_ == nullptr) start_block();
    const size_t n = std::min(piece.size(), block_.size() - filled_);
    std::memcpy(memory_ + filled_, piece.data(), n);
    filled_ += n;
    piece = piece.subspan(n);
    if (filled_ == block_.size()) end_block();
  }
  return ok();
}

Result<void> BlockSink::finished() const {
  if (received_ != end_ - begin_) return fail(Errc::io_error, "the body is shorter than asked");
  return ok();
}

void BlockSink::start_block() {
  ASTER_CHECK(index_ < end_index_);
  const uint64_t length = block_length(*object_, index_);
  filled_ = 0;
  if (length < kPooledFrom) {
    std::shared_ptr<std::byte[]> memory(new std::byte[length]);
    memory_ = memory.get();
    block_ = Bytes(std::move(memory), ByteView(memory_, length));
  } else {
    Block block = pool_.take();
    memory_ = block.data();
    block_ = std::move(block).freeze(length);
  }
}

void BlockSink::end_block() {
  memory_ = nullptr;
  const Bytes block = std::exchange(block_, Bytes());
  const uint32_t index = index_++;
  if (crc32c(block.view()) == object_->crc32c[index - object_->first_block]) {
    on_block_(index, block);
  } else {
    on_block_(index, fail(Errc::corrupt,
                          "block " + std::to_string(index) + " of object " + object_->id.hex()));
  }
}

}  // namespace aster
